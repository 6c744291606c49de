import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';

import { type WebSocket, WebSocketServer } from 'ws';

import type { Arrival, Take } from './arrival.js';

/** [MQTT-6.0.0-3], and what clients of 3.1 ask for. */
const PROTOCOLS = ['mqtt', 'mqttv3.1'];
/** From the accepted socket to the whole request. */
const REQUEST_MS = 10_000;

export interface WebSocketRules {
  readonly packetBytesMax: number;
  /** Why this request is not let in; undefined lets it in. */
  readonly refuse: (request: IncomingMessage) => string | undefined;
  readonly refused: (address: string, reason: string) => void;
}

/** Takes sockets that speak HTTP and hands on those that ask for MQTT over WebSocket (MQTT 3.1.1, section 6). */
export function webSocketLayer({ packetBytesMax, refuse, refused }: WebSocketRules, next: Take): Take {
  const arrivals = new WeakMap<Duplex, { arrival: Arrival; timer: NodeJS.Timeout }>();
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // A packet and its fixed header; many small ones may share a frame.
    maxPayload: packetBytesMax + 5,
    handleProtocols: (offered) => PROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  // It never listens: the sockets are handed to it.
  const server = createServer((_request, response) => {
    response.writeHead(426, { connection: 'close', 'content-type': 'text/plain', upgrade: 'websocket' });
    response.end('MQTT over WebSocket, subprotocol mqtt\n');
  });
  server.on('upgrade', (request, socket, head) => {
    const found = arrivals.get(socket);
    if (found === undefined) {
      socket.destroy();
      return;
    }
    const reason = offersMqtt(request) ? refuse(request) : 'the subprotocol is not mqtt';
    if (reason !== undefined) {
      refused(found.arrival.address, reason);
      socket.end(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n${reason}\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      clearTimeout(found.timer);
      next({ ...found.arrival, socket: new WebSocketStream(webSocket) });
    });
  });
  return (arrival) => {
    const { socket } = arrival;
    const timer = setTimeout(() => socket.destroy(), REQUEST_MS);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => clearTimeout(timer));
    arrivals.set(socket, { arrival, timer });
    server.emit('connection', socket);
  };
}

function offersMqtt(request: IncomingMessage): boolean {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  return offered.split(',').some((name) => PROTOCOLS.includes(name.trim()));
}

/** A WebSocket as the bytes that it carries: frames and packets need not coincide ([MQTT-6.0.0-2]). */
class WebSocketStream extends Duplex {
  constructor(private readonly webSocket: WebSocket) {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    webSocket.on('message', (data: Buffer, isBinary) => {
      // [MQTT-6.0.0-1]
      if (!isBinary) this.destroy();
      else if (!this.destroyed && !this.push(data)) webSocket.pause();
    });
    webSocket.on('error', () => this.destroy());
    webSocket.on('close', () => {
      if (!this.destroyed) this.push(null);
    });
  }

  override _read(): void {
    if (this.webSocket.isPaused) this.webSocket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.webSocket.send(chunk, { binary: true }, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    const { webSocket } = this;
    if (webSocket.readyState === webSocket.CLOSED) return done();
    webSocket.once('close', () => done());
    webSocket.close();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.webSocket.terminate();
    done(error);
  }
}

import type { IncomingHttpHeaders } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';

import { metrics } from '../operation/metrics.js';
import type { Take } from './arrival.js';
import { CertificateWatch } from './certificate-watch.js';
import { readCertificates } from './certificates.js';
import { closeServer, listen } from './listening.js';
import type { BrokerLog, BrokerOptions, BrokerPorts } from './options.js';
import { type TlsLayer, tlsLayer } from './tls-layer.js';
import { webSocketLayer } from './web-socket.js';

export interface ListenerHost {
  readonly log: BrokerLog;
  readonly connectionsMax: number;
  readonly packetBytesMax: number;
  /** False: drop the socket before a byte of it is read. */
  readonly mayOpen: (address: string) => boolean;
  readonly take: Take;
  /** A socket that did not get as far as MQTT. */
  readonly refused: (address: string, reason: string) => void;
}

export interface Listeners {
  readonly ports: BrokerPorts;
  readonly certificateProblem: string | null;
  /** Stops accepting now; resolves when the last socket is gone. */
  close(): Promise<void>;
  /** Ends what is left, also sockets in the middle of a handshake. */
  cutOff(): void;
}

/** Opens all listeners or none. Whatever the way in, the same connection and guard stand behind it. */
export async function openListeners(
  { host, port, tls, webSocketPort }: BrokerOptions,
  listenerHost: ListenerHost,
): Promise<Listeners> {
  const { take, refused, log } = listenerHost;
  const certificates = tls === undefined ? null : readCertificates(tls);
  const layers: TlsLayer[] = [];
  const secured = (next: Take): Take => {
    if (certificates === null) return next;
    const layer = tlsLayer(certificates, refused, next);
    layers.push(layer);
    return layer.take;
  };
  const web = webSocketLayer(
    {
      packetBytesMax: listenerHost.packetBytesMax,
      refuse: ({ headers }) => foreignPage(host, headers),
      refused,
    },
    take,
  );
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const open = async (at: number | null | undefined, first: Take): Promise<number | null> => {
    if (at === null || at === undefined) return null;
    const server = createDoor(listenerHost, sockets, first);
    const found = await listen(server, host, at);
    servers.push(server);
    return found;
  };
  let ports: BrokerPorts;
  try {
    ports = {
      mqtt: await open(port, take),
      mqtts: await open(tls?.port, secured(take)),
      // No plain way in is no plain way in.
      ws: await open(webSocketPort, port === null ? secured(web) : web),
    };
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  const watch =
    tls === undefined || certificates === null
      ? null
      : new CertificateWatch(
          { files: tls, what: 'MQTT', expires: metrics.mqttCertificateExpires },
          certificates,
          log,
          (next) => layers.forEach((layer) => layer.replace(next)),
        );
  return {
    ports,
    get certificateProblem() {
      return watch?.problem ?? null;
    },
    async close() {
      watch?.close();
      await Promise.all(servers.map(closeServer));
    },
    cutOff() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function createDoor({ connectionsMax, mayOpen }: ListenerHost, sockets: Set<Socket>, first: Take): Server {
  // Half-open sockets are kept, so that what a client sent before its FIN is still taken.
  const server = createServer({ allowHalfOpen: true, highWaterMark: 64 * 1024 }, (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    if (!mayOpen(address)) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.setNoDelay(true);
    first({ socket, address, certificate: null });
  });
  server.maxConnections = connectionsMax;
  return server;
}

/**
 * A browser lets any page open a WebSocket to this machine. While only this machine is meant, a page must have come
 * from it, too; behind a public address the login decides alone.
 */
function foreignPage(listensOn: string, { host: named, origin }: IncomingHttpHeaders): string | undefined {
  if (!isLoopback(listensOn) || origin === undefined) return undefined;
  const page = URL.canParse(origin) ? new URL(origin).hostname : '';
  const asked = URL.canParse(`http://${named}`) ? new URL(`http://${named}`).hostname : '';
  return isLoopback(page) && isLoopback(asked) ? undefined : 'page of another origin';
}

function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/i.test(host);
}

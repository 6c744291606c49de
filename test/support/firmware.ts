import { connect, type Socket } from 'node:net';

import { connectPacket, publishPacket } from './mqtt-wire.js';

export interface FirmwareOptions {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly clientId?: string;
  readonly keepAlive?: number;
  /** Most PUBLISH without PUBACK at a time. */
  readonly window?: number;
  /** It leaves a broker that has not answered its PINGREQ when the next one is due. */
  readonly needsAnswers?: boolean;
}

/** One message from its first PUBLISH to its PUBACK. */
export interface SentMessage {
  readonly topic: string;
  readonly payload: string;
  acknowledged: boolean;
}

interface InFlight {
  readonly id: number;
  readonly message: SentMessage;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 3_000;

/**
 * A meter as firmware does it, on a bare socket, light enough for thousands in one process: QoS 1, what has no PUBACK
 * is kept and sent again with DUP after a reconnect, in order; reconnects with a growing pause.
 */
export class Firmware {
  readonly messages: SentMessage[] = [];
  /** Logins that were accepted. */
  connects = 0;
  /** PUBACKs received. */
  acknowledgements = 0;
  online = false;
  private waiting: SentMessage[] = [];
  private inFlight: InFlight[] = [];
  private socket: Socket | null = null;
  private received: Buffer = Buffer.alloc(0);
  private lastId = 0;
  private retryMs = RETRY_MIN_MS;
  private timer: NodeJS.Timeout | undefined;
  private pinging: NodeJS.Timeout | undefined;
  private isAnswered = true;
  private ended = false;

  constructor(private readonly options: FirmwareOptions) {
    this.connect();
  }

  get unacknowledged(): number {
    return this.waiting.length + this.inFlight.length;
  }

  publish(topic: string, payload: string): void {
    const message = { topic, payload, acknowledged: false };
    this.messages.push(message);
    this.waiting.push(message);
    if (this.online) this.pump();
  }

  /** The line breaks; it comes back by itself. */
  drop(): void {
    this.socket?.resetAndDestroy();
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    clearInterval(this.pinging);
    this.socket?.destroy();
  }

  private connect(): void {
    const { port, user, password, clientId = user, keepAlive = 60 } = this.options;
    const socket = connect(port, '127.0.0.1');
    this.socket = socket;
    this.received = Buffer.alloc(0);
    socket.setNoDelay(true);
    socket.on('connect', () =>
      socket.write(connectPacket({ id: clientId, user, password, keepAlive, clean: false })),
    );
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.onClose());
    clearInterval(this.pinging);
    this.pinging = setInterval(() => this.ping(socket), keepAlive * 700);
  }

  private ping(socket: Socket): void {
    if (!this.online) return;
    if (this.options.needsAnswers === true && !this.isAnswered) return void socket.destroy();
    this.isAnswered = false;
    socket.write(Buffer.from([0xc0, 0]));
  }

  private onClose(): void {
    this.online = false;
    clearInterval(this.pinging);
    if (this.ended) return;
    this.timer = setTimeout(() => this.connect(), this.retryMs * (0.5 + Math.random() / 2));
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MAX_MS);
  }

  private read(chunk: Buffer): void {
    // The broker sends a meter nothing but CONNACK, PUBACK and PINGRESP: all of two or four bytes.
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    for (;;) {
      const [first = 0, length = 0] = this.received;
      if (this.received.length < 2 || this.received.length < length + 2) return;
      const body = this.received.subarray(2, length + 2);
      this.received = this.received.subarray(length + 2);
      if (first === 0x20) this.onConnack(body[1] ?? 255);
      else if (first === 0x40) this.onPuback(body.readUInt16BE(0));
      else if (first === 0xd0) this.isAnswered = true;
    }
  }

  private onConnack(code: number): void {
    if (code !== 0) return; // it closes
    this.online = true;
    this.isAnswered = true;
    this.connects += 1;
    this.retryMs = RETRY_MIN_MS;
    for (const { id, message } of this.inFlight) this.send(id, message, true);
    this.pump();
  }

  private onPuback(id: number): void {
    this.acknowledgements += 1;
    const [first] = this.inFlight;
    // Acknowledgements come in the order of the packets ([M-13]).
    if (first?.id !== id) throw new Error(`PUBACK ${id}, but ${first?.id} is the oldest`);
    first.message.acknowledged = true;
    this.inFlight.shift();
    this.pump();
  }

  private pump(): void {
    const { window = 100 } = this.options;
    while (this.inFlight.length < window) {
      const message = this.waiting.shift();
      if (message === undefined) return;
      this.lastId = (this.lastId % 65_535) + 1;
      this.inFlight.push({ id: this.lastId, message });
      this.send(this.lastId, message, false);
    }
  }

  private send(id: number, { topic, payload }: SentMessage, dup: boolean): void {
    this.socket?.write(publishPacket(topic, payload, id, 1, dup ? 8 : 0));
  }
}

import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  generate,
  parser as createParser,
  type IConnackPacket,
  type IPublishPacket,
  type ISubackPacket,
  type Packet,
} from 'mqtt-packet';
import { elapsedMs } from '../broker/clock.js';
import { socketReason } from '../mqtt/socket-reason.js';
import type { TlsOptions } from '../mqtt/trust.js';
import type { InboundMessage } from './message.js';
import type { InboundAddress } from './options.js';
import { OwedAcknowledgements } from './owed.js';
import { connackReason, disconnectReason } from './reasons.js';
import { filtersOf } from './topics.js';

export interface SessionOptions extends InboundAddress {
  readonly version: 4 | 5;
  readonly group: string;
  readonly inflightMax: number;
  readonly sessionSeconds: number;
  /** With TLS: whom we trust, what we show. */
  readonly secure?: TlsOptions;
}

export interface SessionHost {
  /** CONNACK has come. Resolves with the group to share with, '' for none; rejects when we may not subscribe. */
  welcomed(
    session: InboundSession,
    offer: { readonly isResumed: boolean; readonly shares: boolean },
  ): Promise<string>;
  /** The broker knows no shared subscriptions after all; the session ends, the next one goes without. */
  sharingRefused(): void;
  opened(session: InboundSession, refused: readonly string[]): void;
  published(session: InboundSession, packet: IPublishPacket): void;
  /** Once. */
  ended(session: InboundSession, reason: string, version: VersionAnswer): void;
}

/** What the broker thinks of the version of our CONNECT; `silent`: it closed without a word. */
export type VersionAnswer = 'spoken' | 'refused' | 'silent' | 'unknown';

const keepAliveSeconds = 30;
/** Three pings without any answer. */
const silenceMs = 45_000;
const handshakeMs = 10_000;
const DENIED = 0x80;
const SHARED_NOT_SUPPORTED = 0x9e;

/**
 * One connection to the external broker. Unlike mqtt.js, which takes the next message only after the last one's PUBACK,
 * it reads on while acknowledgements wait for their commits; they leave in the order in which the messages came.
 */
export class InboundSession {
  isOpen = false;
  isResumed = false;
  isClosed = false;
  isShared = false;
  openedAt = 0;
  private readonly owed: OwedAcknowledgements;
  private flushing = false;
  private isStopping = false;
  /** What a stored session brings before it is known whether we may take it in; null once it is. */
  private early: IPublishPacket[] | null = [];
  private readonly socket: Socket;
  private lastHeard = elapsedMs();
  private hasAnswered = false;
  private group = '';
  private readonly pings: NodeJS.Timeout;
  private readonly handshake: NodeJS.Timeout;

  constructor(
    private readonly options: SessionOptions,
    private readonly host: SessionHost,
  ) {
    const { host: name, port, tls, inflightMax } = options;
    this.owed = new OwedAcknowledgements(inflightMax);
    this.socket = tls
      ? connectTls({ host: name, port, ...(isIP(name) === 0 ? { servername: name } : {}), ...options.secure })
      : connectTcp({ host: name, port });
    this.socket.setNoDelay(true);
    const parser = createParser({ protocolVersion: options.version });
    parser.on('packet', (packet) => this.take(packet));
    parser.on('error', (error: Error) => this.end(`not MQTT: ${error.message}`));
    this.socket.once(tls ? 'secureConnect' : 'connect', () => this.greet());
    this.socket.on('data', (chunk: Buffer) => {
      this.lastHeard = elapsedMs();
      if (!this.isClosed) parser.parse(chunk);
    });
    this.socket.on('error', (error) => this.end(socketReason(error)));
    this.socket.on('close', () => this.end('the broker closed the connection'));
    this.pings = setInterval(() => this.ping(), (keepAliveSeconds * 1000) / 2);
    this.handshake = setTimeout(() => this.end('the broker did not answer within 10 s'), handshakeMs);
  }

  /** Not yet acknowledged towards the broker, by packet id. */
  get waiting(): ReadonlyMap<number, InboundMessage> {
    return this.owed.waiting;
  }

  /** Its PUBACK leaves when it and all before it are settled. */
  owe(message: InboundMessage): void {
    this.owed.add(message);
    if (this.owed.isFull(1)) this.socket.pause();
    if (message.acknowledged) this.acknowledged();
  }

  /** Something was settled: one write per turn of the event loop. */
  acknowledged(): void {
    if (this.flushing || this.isClosed) return;
    this.flushing = true;
    setImmediate(() => this.flush());
  }

  /** Stops reading; what is settled is still acknowledged. */
  pause(): void {
    this.isStopping = true;
    this.socket.pause();
  }

  end(reason: string, version?: VersionAnswer): void {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.pings);
    clearTimeout(this.handshake);
    this.socket.destroy();
    // A broker of 3.1.1 may also close without a word on a CONNECT of version 5.
    const isSilent = !this.hasAnswered && this.socket.bytesWritten > 0 && this.socket.bytesRead === 0;
    this.host.ended(this, reason, version ?? (this.isOpen ? 'spoken' : isSilent ? 'silent' : 'unknown'));
    this.isOpen = false;
  }

  /** Says goodbye; the broker keeps the session with what is not acknowledged. */
  leave(): void {
    if (this.isClosed) return;
    this.flush();
    this.isClosed = true;
    this.isOpen = false;
    clearInterval(this.pings);
    clearTimeout(this.handshake);
    this.socket.end(this.packet({ cmd: 'disconnect', reasonCode: 0 }));
    // What still arrives is not read: it stays in the session.
    this.socket.resume();
    setTimeout(() => this.socket.destroy(), 1_000).unref();
  }

  private greet(): void {
    const { clientId, username, password, version, sessionSeconds, inflightMax } = this.options;
    this.write({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean: false,
      keepalive: keepAliveSeconds,
      ...(username === '' ? {} : { username, password: Buffer.from(password) }),
      ...(version === 5
        ? {
            properties: {
              sessionExpiryInterval: sessionSeconds,
              receiveMaximum: Math.min(inflightMax, 65_535),
            },
          }
        : {}),
    });
  }

  private take(packet: Packet): void {
    if (this.isClosed) return;
    switch (packet.cmd) {
      case 'publish':
        return this.publish(packet);
      case 'connack':
        return void this.welcome(packet);
      case 'suback':
        return this.subscribed(packet);
      case 'disconnect':
        return this.end(disconnectReason(packet.reasonCode));
      default:
        return;
    }
  }

  private publish(packet: IPublishPacket): void {
    if (packet.qos === 2) return this.end('the broker sent QoS 2 although QoS 1 is subscribed');
    // Sent again on the same connection, as some brokers do after a while: its PUBACK is on its way.
    if (packet.qos === 1 && packet.dup && this.waiting.has(packet.messageId ?? 0)) return;
    if (this.early === null) this.host.published(this, packet);
    else this.early.push(packet);
  }

  private admit(): void {
    const early = this.early ?? [];
    this.early = null;
    if (!this.isStopping) this.socket.resume();
    for (const packet of early) this.host.published(this, packet);
  }

  private async welcome(packet: IConnackPacket): Promise<void> {
    this.hasAnswered = true;
    const code = packet.reasonCode ?? packet.returnCode ?? 0;
    if (code !== 0) return this.end(connackReason(code), code === 1 || code === 0x84 ? 'refused' : 'unknown');
    this.isResumed = packet.sessionPresent;
    const shares = this.options.version === 5 && packet.properties?.sharedSubscriptionAvailable !== false;
    this.socket.pause();
    try {
      this.group = await this.host.welcomed(this, { isResumed: this.isResumed, shares });
    } catch (error) {
      return this.end(error instanceof Error ? error.message : String(error));
    }
    if (this.isClosed) return;
    this.admit();
    // A session from before may hold the other kind: both would bring every message twice.
    const others = this.group === '' ? this.options.group : '';
    if (this.isResumed && others !== this.group) {
      this.write({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: filtersOf(others) });
    }
    this.subscribe();
  }

  private subscribe(): void {
    this.isShared = this.group !== '';
    // Retained messages come with a new subscription only; brokers of 3.1.1 repeat them, and they are passed over.
    const subscriptions = filtersOf(this.group).map((topic) => ({
      topic,
      qos: 1 as const,
      rh: this.isShared ? 0 : 1,
    }));
    this.write({ cmd: 'subscribe', messageId: 2, subscriptions });
  }

  private subscribed({ granted }: ISubackPacket): void {
    const codes = granted as number[];
    if (this.isShared && codes.includes(SHARED_NOT_SUPPORTED)) {
      this.host.sharingRefused();
      return this.end('the broker has no shared subscriptions');
    }
    const refused = filtersOf(this.group).filter((_, index) => (codes[index] ?? DENIED) >= DENIED);
    if (refused.length === codes.length) return this.end(`subscription refused: ${refused[0] ?? ''}`);
    clearTimeout(this.handshake);
    this.isOpen = true;
    this.openedAt = elapsedMs();
    this.host.opened(this, refused);
  }

  private ping(): void {
    // While the socket is not read, an answer cannot be heard.
    if (this.socket.isPaused()) this.lastHeard = elapsedMs();
    if (elapsedMs() - this.lastHeard > silenceMs) return this.end('the broker is silent');
    if (this.hasAnswered) this.write({ cmd: 'pingreq' });
  }

  private flush(): void {
    this.flushing = false;
    if (this.isClosed) return;
    const acknowledgements = this.owed.take();
    if (acknowledgements === undefined) return;
    this.socket.write(acknowledgements);
    if (this.socket.isPaused() && !this.isStopping && !this.owed.isFull(0.8)) this.socket.resume();
  }

  private write(packet: Packet): void {
    if (!this.isClosed) this.socket.write(this.packet(packet));
  }

  private packet(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.options.version });
  }
}

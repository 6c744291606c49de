import type { Socket } from 'node:net';

import type { Principal } from '../devices/access.js';
import { elapsedMs } from './clock.js';
import { AckQueue } from './acks.js';
import { AedesStream } from './aedes-stream.js';
import type { BrokerLimits } from './limits.js';
import { Outbound } from './outbound.js';
import { PINGRESP, type RefusalCode, connack } from './packet/answers.js';
import { at, uint16 } from './packet/bytes.js';
import * as packet from './packet/check.js';
import { type ConnectPacket, readConnect } from './packet/connect.js';
import { Framer } from './packet/framer.js';
import type { Bucket } from './rate.js';
import type { Session } from './sessions.js';
import { TopicCache } from './topic-cache.js';

/** What a connection asks of the broker. */
export interface ConnectionHost {
  readonly limits: BrokerLimits;
  counterOf(label: string): { count: number };
  /** Judges the login; ends in `refuse`, `welcome` or `close`. */
  admit(connection: Connection, connect: ConnectPacket): void;
  /** Takes a device's PUBLISH; false: not now, keep it. */
  publish(connection: Connection, buffer: Buffer, head: number, start: number, end: number): boolean;
  /** Answers a device's PUBREL. */
  release(connection: Connection, packetId: number): void;
  /** It waits for the gate or for its rate. */
  stalled(connection: Connection): void;
  /** Acknowledgements may be ready; they leave at the end of this turn of the event loop. */
  ready(connection: Connection): void;
  /** `saidNothing`: a probe of the port, no login. */
  closed(connection: Connection, reason: string, saidNothing: boolean): void;
}

const CONNACK = 0x20;
/** A will of 64 KiB with its names fits; nobody unknown may make us hold more. */
const CONNECT_BYTES_MAX = 72 * 1024;
/** Whole packets kept for a client that must wait; then its socket is not read. PINGREQ is answered until there. */
const BACKLOG_BYTES_MAX = 64 * 1024;

interface Waiting {
  readonly buffer: Buffer;
  readonly head: number;
  readonly start: number;
  readonly end: number;
}

/**
 * One socket with the guard in front of aedes ([M-15], [M-16]): cuts the stream into packets, refuses what is not
 * MQTT 3.1 or 3.1.1, takes the PUBLISH of devices itself and hands the rest to aedes.
 */
export class Connection {
  /** The user name of the CONNECT, before it is believed. */
  claimedUser = '';
  /** [MQTT-3.2.2-2]; aedes knows of a stored session only by its subscriptions, and 3.1 has no such flag. */
  sessionPresent: 0 | 1 = 0;
  /** CONNACK 0 was written. */
  wasOpen = false;
  state: 'connecting' | 'admitting' | 'open' | 'closed' = 'connecting';
  principal: Principal | null = null;
  /** Kept to ask the registry again when it changed; never logged. */
  password = '';
  clientId = '';
  keepAliveMs = 0;
  clean = true;
  session: Session | null = null;
  bucket: Bucket | null = null;
  stream: AedesStream | null = null;
  readonly openedAt = elapsedMs();
  lastSeen = this.openedAt;
  closedAt = 0;
  /** When DISCONNECT came; aedes closes after what it still has to do. */
  leavingAt = 0;
  /** When the packet in hand came, read once per chunk: elapsed, for deadlines, and the time of day. */
  clock = this.openedAt;
  timeOfDay = Date.now();
  /** Set by whoever knows better why aedes is about to close it. */
  reason: string | null = null;
  isReady = false;
  readonly address: string;
  readonly acks = new AckQueue();
  readonly outbound = new Outbound();
  readonly topics: TopicCache;
  /** Granted filters with their QoS. */
  readonly filters = new Map<string, number>();
  private readonly framer: Framer;
  private backlog: Waiting[] = [];
  private backlogBytes = 0;
  private ended = false;
  private isGone = false;
  private onGone: () => void = () => {};

  constructor(
    readonly socket: Socket,
    private readonly host: ConnectionHost,
  ) {
    this.address = socket.remoteAddress ?? '';
    this.topics = new TopicCache((label) => host.counterOf(label));
    this.framer = new Framer(CONNECT_BYTES_MAX, (buffer, head, start, end) =>
      this.take(buffer, head, start, end),
    );
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('end', () => this.onEnd());
    socket.on('error', () => this.close('connection lost'));
    socket.on('close', () => this.close('connection lost'));
  }

  /** Not read at the moment, so its silence says nothing. */
  get isUnread(): boolean {
    return this.socket.isPaused();
  }

  get isWaiting(): boolean {
    return this.backlog.length > 0;
  }

  /** A hold that lasts longer makes the client think the broker dead ([M-13]). */
  get holdLimitMs(): number {
    return this.keepAliveMs > 0 ? this.keepAliveMs * 1.5 : this.host.limits.holdMs;
  }

  refuse(code: RefusalCode): void {
    this.write(connack(code));
    this.finish('refused');
  }

  /** The login is accepted: from here on packets of full size, and aedes behind. */
  welcome(): AedesStream {
    this.framer.bytesMax = this.host.limits.packetBytesMax;
    this.stream = new AedesStream(this);
    return this.stream;
  }

  /** Resolves when aedes has let go of this client, at the latest after `deadlineMs`. */
  gone(deadlineMs: number): Promise<void> {
    if (this.stream === null || this.isGone) return Promise.resolve();
    return new Promise((resolve) => {
      this.onGone = resolve;
      setTimeout(resolve, deadlineMs).unref();
    });
  }

  letGo(): void {
    this.isGone = true;
    this.onGone();
  }

  /** CONNACK is written: what came behind the CONNECT is taken now. */
  open(): void {
    if (this.state !== 'admitting') return;
    this.state = 'open';
    this.wasOpen = true;
    this.drain();
  }

  /** Takes the packets that waited, as far as they may go. */
  drain(): void {
    if (this.state !== 'open') return;
    this.clock = elapsedMs();
    this.timeOfDay = Date.now();
    const { backlog } = this;
    let taken = 0;
    for (const { buffer, head, start, end } of backlog) {
      if (!this.dispatch(buffer, head, start, end)) break;
      taken++;
      this.backlogBytes -= end - start;
      if (this.isClosed) return;
    }
    this.backlog = taken === backlog.length ? [] : backlog.slice(taken);
    if (this.backlogBytes < BACKLOG_BYTES_MAX / 2 && this.socket.isPaused()) this.socket.resume();
    if (this.ended && this.backlog.length === 0) this.close('connection lost');
  }

  get isClosed(): boolean {
    return this.state === 'closed';
  }

  write(bytes: Buffer): void {
    if (this.isClosed || !this.socket.writable) return;
    this.socket.write(bytes);
    if (this.socket.writableLength > this.host.limits.outgoingBytesMax) this.close('slow consumer');
  }

  /** Writes the acknowledgements that are due, in one go. */
  flushAcks(): { oldest: number; count: number } | null {
    this.isReady = false;
    if (this.isClosed) return null;
    const due = this.acks.take();
    if (due !== null) this.write(due.bytes);
    return due;
  }

  /** One of its deliveries is settled; it may not be the first in the queue. */
  acknowledged(): void {
    if (this.isReady || this.isClosed || !this.acks.isReady) return;
    this.isReady = true;
    this.host.ready(this);
  }

  sendFromAedes(bytes: Buffer): void {
    this.outbound.note(bytes);
    if (this.state === 'admitting' && bytes[0] === CONNACK)
      this.write(withSessionPresent(bytes, this.sessionPresent));
    else this.write(bytes);
    if (this.outbound.unacknowledged > 20_000) this.close('too many messages unacknowledged');
  }

  /** aedes closed its side: DISCONNECT, or an error that it saw. */
  leftByAedes(reason = 'closed'): void {
    this.finish(reason);
  }

  close(reason: string): void {
    if (this.isClosed) return;
    this.end(reason);
    this.socket.destroy();
  }

  /** Closes after what is written has left. A peer that does not close in turn is cut off by the sweep. */
  finish(reason: string): void {
    if (this.isClosed) return;
    this.end(reason);
    this.socket.end();
    this.socket.resume();
  }

  private end(reason: string): void {
    const saidNothing = this.state === 'connecting' && reason === 'connection lost';
    this.state = 'closed';
    this.closedAt = elapsedMs();
    this.backlog = [];
    this.host.closed(this, this.reason ?? reason, saidNothing);
    this.stream?.destroy();
  }

  private read(chunk: Buffer): void {
    if (this.isClosed) return;
    this.clock = this.lastSeen = elapsedMs();
    this.timeOfDay = Date.now();
    const problem = this.framer.feed(chunk);
    if (problem !== null) this.close(problem);
    else if (this.backlogBytes > BACKLOG_BYTES_MAX) this.socket.pause();
  }

  private onEnd(): void {
    this.ended = true;
    if (this.isClosed) this.socket.destroy();
    else if (this.leavingAt > 0 || this.state === 'admitting' || this.isWaiting) return;
    else this.close('connection lost');
  }

  /** One whole packet. Returns false to stop cutting. */
  private take(buffer: Buffer, head: number, start: number, end: number): boolean {
    if (this.isClosed || this.leavingAt > 0) return false;
    const first = at(buffer, head);
    const type = first >> 4;
    if (this.state === 'connecting') return this.connect(buffer, first, start, end);
    const problem = type === packet.CONNECT ? 'second CONNECT' : packet.problemOf(buffer, first, start, end);
    if (problem !== null) {
      this.close(problem);
      return false;
    }
    if (type === packet.PINGREQ && this.state === 'open') {
      // Answered at once, also while deliveries are held: the client must not think the broker dead.
      this.write(PINGRESP);
    } else if (
      this.backlog.length > 0 ||
      this.state === 'admitting' ||
      !this.dispatch(buffer, head, start, end)
    ) {
      this.backlog.push({ buffer, head, start, end });
      this.backlogBytes += end - start;
    }
    return !this.isClosed;
  }

  private connect(buffer: Buffer, first: number, start: number, end: number): boolean {
    const type = first >> 4;
    const connect = type === packet.CONNECT ? readConnect(buffer, first, start, end) : null;
    if (connect === null || connect.outcome === 'malformed') {
      this.close(connect === null ? 'first packet is not CONNECT' : connect.reason); // [MQTT-3.1.0-1]
      return false;
    }
    this.state = 'admitting';
    if (connect.outcome === 'refused') {
      this.reason = connect.reason;
      this.refuse(connect.code);
      return false;
    }
    this.clientId = connect.clientId;
    this.claimedUser = connect.username ?? '';
    this.keepAliveMs = connect.keepAlive * 1000;
    this.clean = connect.clean;
    this.host.admit(this, connect);
    return true;
  }

  /** Returns false when the packet has to wait. */
  private dispatch(buffer: Buffer, head: number, start: number, end: number): boolean {
    const type = at(buffer, head) >> 4;
    const isDevice = this.principal?.kind === 'device';
    switch (type) {
      case packet.PUBLISH:
        if (isDevice) {
          if (this.host.publish(this, buffer, head, start, end)) return true;
          this.host.stalled(this);
          return false;
        }
        break;
      case packet.PUBREL:
        if (isDevice) {
          this.host.release(this, uint16(buffer, start));
          return true;
        }
        break;
      case packet.PUBACK:
      case packet.PUBREC:
      case packet.PUBCOMP:
        if (!this.outbound.accepts(type, uint16(buffer, start))) {
          this.close('acknowledgement of another kind');
          return true;
        }
        break;
      case packet.PINGREQ:
        this.write(PINGRESP);
        return true;
      case packet.DISCONNECT:
        // Said to aedes at once: were the socket to close before it reads the packet, it would publish the will.
        if (this.stream?.client !== undefined) this.stream.client._disconnected = true;
        this.reason = 'disconnect';
        this.leavingAt = this.clock;
        break;
    }
    this.stream?.hand(buffer, head, end);
    return true;
  }
}

function withSessionPresent(connackAndMore: Buffer, sessionPresent: 0 | 1): Buffer {
  const bytes = Buffer.from(connackAndMore);
  bytes[2] = sessionPresent;
  return bytes;
}

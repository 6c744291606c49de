import type { Duplex } from 'node:stream';

import type { Principal } from '../devices/access.js';
import { elapsedMs } from './clock.js';
import { AckQueue } from './acks.js';
import { AedesStream } from './aedes-stream.js';
import type { Arrival } from './arrival.js';
import type { ClientCertificate } from './client-certificate.js';
import type { ConnectionHost } from './connection-host.js';
import { Departure } from './departure.js';
import { dispatch } from './dispatch.js';
import { Guard } from './guard.js';
import { Outbound } from './outbound.js';
import { PINGRESP, type RefusalCode, connack } from './packet/answers.js';
import { CONNECT } from './packet/check.js';
import { readConnect } from './packet/connect.js';
import type { Bucket } from './rate.js';
import type { Session } from './sessions.js';
import { TopicCache } from './topic-cache.js';

const CONNACK = 0x20;

/** One client behind its guard: takes the PUBLISH of devices itself and hands the rest to aedes. */
export class Connection {
  /** The user name of the CONNECT, before it is believed. */
  claimedUser = '';
  /** [MQTT-3.2.2-2]; aedes knows of a stored session only by its subscriptions, and 3.1 has no such flag. */
  sessionPresent: 0 | 1 = 0;
  /** Its login was, or is being, judged; what ends before that never was one. */
  isJudged = false;
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
  readonly socket: Duplex;
  readonly address: string;
  readonly certificate: ClientCertificate | null;
  readonly acks = new AckQueue();
  readonly outbound = new Outbound();
  readonly departure = new Departure();
  readonly topics: TopicCache;
  /** Granted filters with their QoS. */
  readonly filters = new Map<string, number>();
  private readonly guard = new Guard(this);
  /** PINGREQ of the chunk in hand. */
  private pings = 0;
  private ended = false;

  constructor(
    { socket, address, certificate }: Arrival,
    private readonly host: ConnectionHost,
  ) {
    this.socket = socket;
    this.address = address;
    this.certificate = certificate;
    this.topics = new TopicCache((label) => host.counterOf(label));
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
    return this.guard.isWaiting;
  }

  /** A hold that lasts longer outlasts the patience that the client showed by its keep-alive ([M-13]). */
  get holdLimitMs(): number {
    const { holdMs, holdMinMs } = this.host.limits;
    return this.keepAliveMs > 0 ? Math.max(this.keepAliveMs * 1.5, holdMinMs) : holdMs;
  }

  refuse(code: RefusalCode): void {
    this.write(connack(code));
    this.finish('refused');
  }

  /** The login is accepted: from here on packets of full size, and aedes behind. */
  welcome(): AedesStream {
    this.guard.allow(this.host.limits.packetBytesMax);
    this.stream = new AedesStream(this);
    this.departure.isDue = true;
    return this.stream;
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
    this.guard.drain();
    this.flushPings();
    if (this.isClosed) return;
    if (this.guard.hasRoom && this.socket.isPaused()) this.socket.resume();
    if (this.ended && !this.isWaiting) this.close('connection lost');
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
    this.guard.forget();
    this.host.closed(this, this.reason ?? reason, saidNothing);
    this.stream?.destroy();
  }

  private read(chunk: Buffer): void {
    if (this.isClosed) return;
    this.clock = this.lastSeen = elapsedMs();
    this.timeOfDay = Date.now();
    this.guard.feed(chunk);
    this.flushPings();
    if (!this.isClosed && this.guard.isFull) this.socket.pause();
  }

  private onEnd(): void {
    this.ended = true;
    if (this.isClosed) this.socket.destroy();
    else if (this.leavingAt > 0 || this.state === 'admitting' || this.isWaiting) return;
    else this.close('connection lost');
  }

  connect(buffer: Buffer, first: number, start: number, end: number): boolean {
    const type = first >> 4;
    const connect = type === CONNECT ? readConnect(buffer, first, start, end) : null;
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

  /** Answers a PINGREQ; all of one chunk in one write, or a chunk of nothing else would cost 32,000. */
  pong(): void {
    this.pings += 1;
  }

  /** Returns false when the packet has to wait. */
  dispatch(buffer: Buffer, head: number, start: number, end: number): boolean {
    return dispatch(this, this.host, buffer, head, start, end);
  }

  private flushPings(): void {
    if (this.pings === 0) return;
    this.write(this.pings === 1 ? PINGRESP : Buffer.alloc(2 * this.pings, PINGRESP));
    this.pings = 0;
  }
}

function withSessionPresent(connackAndMore: Buffer, sessionPresent: 0 | 1): Buffer {
  const bytes = Buffer.from(connackAndMore);
  bytes[2] = sessionPresent;
  return bytes;
}

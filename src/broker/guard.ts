import { at } from './packet/bytes.js';
import * as packet from './packet/check.js';
import { Framer } from './packet/framer.js';

/** A will of 64 KiB with its names fits; nobody unknown may make us hold more. */
const CONNECT_BYTES_MAX = 72 * 1024;
/** Whole packets kept for a client that must wait; then its socket is not read. PINGREQ is answered until there. */
const BACKLOG_BYTES_MAX = 64 * 1024;

/** The connection behind the guard. */
export interface Guarded {
  readonly state: 'connecting' | 'admitting' | 'open' | 'closed';
  readonly leavingAt: number;
  /** The first packet, whatever it is. Returns false to stop. */
  connect(buffer: Buffer, first: number, start: number, end: number): boolean;
  /** A valid packet, head to end; false: not now, it comes again with `drain`. */
  dispatch(buffer: Buffer, head: number, start: number, end: number): boolean;
  pong(): void;
  close(reason: string): void;
}

interface Waiting {
  readonly buffer: Buffer;
  readonly head: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Stands before everything that a client sends ([M-15], [M-16]): cuts the stream into packets, refuses what is not MQTT
 * 3.1 or 3.1.1, and keeps what has to wait.
 */
export class Guard {
  private readonly framer: Framer;
  private backlog: Waiting[] = [];
  private backlogBytes = 0;

  constructor(private readonly guarded: Guarded) {
    this.framer = new Framer(CONNECT_BYTES_MAX, (buffer, head, start, end) =>
      this.take(buffer, head, start, end),
    );
  }

  /** The client is known: packets of full size. */
  allow(packetBytesMax: number): void {
    this.framer.bytesMax = packetBytesMax;
  }

  get isWaiting(): boolean {
    return this.backlog.length > 0;
  }

  /** The socket should not be read. */
  get isFull(): boolean {
    return this.backlogBytes > BACKLOG_BYTES_MAX;
  }

  /** And may be read again. */
  get hasRoom(): boolean {
    return this.backlogBytes < BACKLOG_BYTES_MAX / 2;
  }

  feed(chunk: Buffer): void {
    const problem = this.framer.feed(chunk);
    if (problem !== null) this.guarded.close(problem);
  }

  /** Hands on the packets that waited, as far as they may go. */
  drain(): void {
    const { backlog } = this;
    let taken = 0;
    for (const { buffer, head, start, end } of backlog) {
      if (!this.guarded.dispatch(buffer, head, start, end)) break;
      taken++;
      this.backlogBytes -= end - start;
      if (this.isClosed) return;
    }
    this.backlog = taken === backlog.length ? [] : backlog.slice(taken);
  }

  forget(): void {
    this.backlog = [];
  }

  private get isClosed(): boolean {
    return this.guarded.state === 'closed';
  }

  /** One whole packet. Returns false to stop cutting. */
  private take(buffer: Buffer, head: number, start: number, end: number): boolean {
    const { guarded } = this;
    if (this.isClosed || guarded.leavingAt > 0) return false;
    const first = at(buffer, head);
    const type = first >> 4;
    if (guarded.state === 'connecting') return guarded.connect(buffer, first, start, end);
    const problem = type === packet.CONNECT ? 'second CONNECT' : packet.problemOf(buffer, first, start, end);
    if (problem !== null) {
      guarded.close(problem);
      return false;
    }
    if (type === packet.PINGREQ && guarded.state === 'open') {
      // Answered at once, also while deliveries are held: the client must not think the broker dead.
      guarded.pong();
    } else if (
      this.backlog.length > 0 ||
      guarded.state === 'admitting' ||
      !guarded.dispatch(buffer, head, start, end)
    ) {
      this.backlog.push({ buffer, head, start, end });
      this.backlogBytes += end - start;
    }
    return !this.isClosed;
  }
}

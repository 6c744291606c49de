import type { Database } from '../database/database.js';
import { unpack, type ForwardedMessage } from './frame.js';
import { encodeHeaders, messageId } from './headers.js';
import { readRows, type JournalRow } from './journal-store.js';
import { saveMark, type LaneState } from './mark-store.js';
import { findPosition } from './position.js';
import type { Publisher } from './publisher.js';
import type { StreamFound } from './stream.js';
import { isTooLong, subjectOf } from './subject.js';

/** What a lane tells of its work. */
export interface LaneCounts {
  forwarded(messages: number, oldestReceivedAt: number): void;
  /** Will never be in the stream: `journal` was dropped before, `too large` is refused by the server. */
  dropped(messages: number, reason: 'journal' | 'too large', details: string): void;
  rewound(): void;
}

export interface LaneStream {
  readonly name: string;
  readonly prefix: string;
}

/** A row whose messages are under way. */
interface RowFlight {
  readonly row: JournalRow;
  open: number;
  seq: number;
  oldest: number;
}

const readAtOnce = 16;
/** Rows that wait in memory, handed over by the writer; more are read from the database. */
const handedMax = 64;
const pollMs = 1_000;

/** Forwards the journal of one lane in its order, for as long as a publisher works. */
export class LaneRun {
  /** The last row that is in the stream with all before it. */
  cursor: number;
  /** How many messages the lane had up to it. */
  total: number;
  private saved = 0;
  private seq = 0;
  private handed: JournalRow[] = [];
  private flights: RowFlight[] = [];
  private wake: (() => void) | null = null;
  /** Something was handed over since the last look. */
  private isNews = false;
  private created = '';
  isStopped = false;

  constructor(
    readonly lane: LaneState,
    private readonly database: Database,
    private readonly stream: LaneStream,
    private readonly counts: LaneCounts,
  ) {
    this.cursor = lane.marked_id;
    this.total = lane.marked_total;
  }

  /** When its oldest message under way was received, Unix ms; null when none is. */
  get oldestUnderWay(): number | null {
    return this.flights[0]?.oldest ?? null;
  }

  /** The writer has committed this one: in its order, it need not be read. */
  hand(row: JournalRow): void {
    if (this.handed.length < handedMax) this.handed.push(row);
    this.isNews = true;
    this.wake?.();
  }

  stop(): void {
    this.isStopped = true;
    this.wake?.();
  }

  /** Until the publisher ends or the lane is stopped; then what was under way is sent again by the next run. */
  async run(publisher: Publisher, found: StreamFound, signal: AbortSignal): Promise<void> {
    const { id, total, seq, stored, isRewound } = await findPosition(
      this.database,
      this.lane.lane,
      this.stream.name,
      found,
    );
    if (isRewound) this.counts.rewound();
    this.cursor = this.saved = id;
    this.total = total;
    this.created = found.created;
    this.seq = seq;
    this.flights = [];
    let read = id;
    let readTotal = total;
    const isOver = (): boolean => this.isStopped || signal.aborted || publisher.problem !== null;
    while (!isOver()) {
      this.isNews = false;
      const rows = await this.next(read);
      if (rows.length === 0 && !this.isNews) await this.pause(signal);
      for (const row of rows) {
        if (isOver()) return;
        const lost = row.total - row.messages - readTotal;
        if (lost > 0 && row.id > read + 1)
          this.counts.dropped(lost, 'journal', 'older than the journal is kept');
        read = row.id;
        readTotal = row.total;
        await this.send(row, publisher, stored);
      }
    }
  }

  /** Writes down how far it came. */
  async save(): Promise<void> {
    const { cursor, total, seq } = this;
    if (cursor === this.saved || seq === 0) return;
    const mark = {
      id: cursor,
      total,
      stream: this.stream.name,
      stream_created: this.created,
      stream_seq: seq,
    };
    await saveMark(this.database, this.lane.lane, mark);
    this.saved = cursor;
  }

  private async next(read: number): Promise<JournalRow[]> {
    this.handed = this.handed.filter(({ id }) => id > read);
    let behind = read;
    const isNext = ({ id }: JournalRow): boolean => id === ++behind;
    const inOrder = this.handed.findIndex((row) => !isNext(row));
    const rows = inOrder < 0 ? this.handed : this.handed.slice(0, inOrder);
    if (rows.length === 0) return readRows(this.database, this.lane.lane, read, readAtOnce);
    this.handed = this.handed.slice(rows.length);
    return rows;
  }

  private async pause(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(go, pollMs);
      function go(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', go);
        resolve();
      }
      this.wake = go;
      signal.addEventListener('abort', go);
    });
    this.wake = null;
  }

  private async send(
    row: JournalRow,
    publisher: Publisher,
    stored: ReadonlyMap<string, number>,
  ): Promise<void> {
    const messages = unpack(row.body);
    const oldest = messages[0]?.received_at ?? Date.now();
    const flight: RowFlight = { row, open: messages.length, seq: 0, oldest };
    this.flights.push(flight);
    for (const [index, message] of messages.entries()) {
      if (!publisher.hasRoom) await publisher.room();
      if (publisher.problem !== null) return;
      const id = messageId(message, `${this.lane.uid}:${row.id}:${index}`);
      const seq = stored.get(id);
      if (seq !== undefined) this.arrived(flight, seq);
      else this.publish(message, id, flight, publisher);
    }
  }

  private publish(message: ForwardedMessage, id: string, flight: RowFlight, publisher: Publisher): void {
    const { prefix } = this.stream;
    const subject = subjectOf(prefix, message.topic);
    const headers = encodeHeaders(message, id, isTooLong(prefix, subject));
    publisher.send(subject, headers, message.payload, {
      stored: (seq) => this.arrived(flight, seq),
      refused: (reason) => {
        this.counts.dropped(1, 'too large', `${subject}: ${reason}`);
        this.arrived(flight, 0);
      },
    });
  }

  private arrived(flight: RowFlight, seq: number): void {
    flight.seq = Math.max(flight.seq, seq);
    if (--flight.open === 0 && this.flights[0] === flight) this.settle();
  }

  /** The cursor goes on over the rows that are in the stream with all before them. */
  private settle(): void {
    let count = 0;
    for (const { row, open, seq, oldest } of this.flights) {
      if (open > 0) break;
      count++;
      this.cursor = row.id;
      this.total = row.total;
      this.seq = Math.max(this.seq, seq);
      this.counts.forwarded(row.messages, oldest);
    }
    this.flights.splice(0, count);
  }
}

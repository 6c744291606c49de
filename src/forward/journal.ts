import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { deliveries, type Journal, type Passing, type Pending } from '../broker/deliveries.js';
import { untilCommitted, type Database, type Session } from '../database/database.js';
import { createPartitions } from '../readings/partitions.js';
import { frameBytesMax, pack, type Packable } from './frame.js';
import { appendRow, openLane, type JournalRow, type Lane } from './journal-store.js';

export interface ForwardJournalOptions {
  /** INSTANCE_ID. */
  readonly lane: string;
  /** A row is committed. The body is the reader's. */
  readonly onWritten: (row: JournalRow) => void;
  /** Messages of QoS 0, packed as a row is. */
  readonly onPassed: (messages: number, body: Buffer) => void;
  readonly log: (line: string) => void;
}

/** While fewer than `below` messages wait, a commit begins so many ms later: a PUBACK can wait, a commit costs. */
const linger = { ms: 5, below: 1_000 };
/** Of one row; a single message may be larger. */
const rowMessagesMax = 2_000;
const rowBytesMax = 1024 * 1024;
/** QoS 0: nobody waits. */
const passAfterMs = 10;
const passMessagesMax = 500;
const retryMs = 1_000;

/**
 * Writes accepted messages of QoS 1 and 2 into this instance's lane, many in one row, and acknowledges them after the
 * commit ([M-13], [L-2]). Held while the database is away; the broker bounds what waits here.
 */
export class ForwardJournal implements Journal {
  private waiting: Pending[] = [];
  private running: Promise<void> | null = null;
  private passing: Packable[] = [];
  private passTimer: NodeJS.Timeout | null = null;
  private lane: Promise<Lane> | null = null;
  private readonly partitions;
  private readonly stop = new AbortController();

  constructor(
    private readonly database: Database,
    private readonly options: ForwardJournalOptions,
  ) {
    this.partitions = createPartitions(database, 'forward_journal');
  }

  add(pending: Pending): void {
    this.waiting.push(pending);
    this.running ??= this.run();
  }

  pass(items: readonly Passing[]): void {
    let before: Passing | undefined;
    for (const item of items) {
      if (item.qos !== 0 || item.device_id === null || item.payload === undefined) continue;
      const payload = item.message ?? item.payload;
      // Readings of one array carry the same message.
      const isSame =
        before?.topic === item.topic &&
        before.received_at === item.received_at &&
        payload === payloadOf(before);
      before = item;
      if (isSame) continue;
      this.passing.push({ ...item, payload });
      if (this.passing.length >= passMessagesMax) this.flushPassing();
    }
    if (this.passing.length > 0) this.passTimer ??= setTimeout(() => this.flushPassing(), passAfterMs);
  }

  /** Writes one message in a transaction of the caller's; it is read back from there. */
  async write(tx: Session, message: Packable): Promise<void> {
    const now = Date.now();
    const { lane } = await this.ownLane();
    await this.partitions.ensure([now]);
    const body = packed([message], frameBytesMax(message, Buffer.byteLength(message.payload)));
    await appendRow(tx, lane, { messages: 1, body }, { write: randomUUID(), writtenAt: now });
  }

  /** Waits for what is under way, and gives up after the deadline: that is not acknowledged and comes again. */
  async close(deadlineMs: number): Promise<void> {
    this.flushPassing();
    await Promise.race([this.running, delay(deadlineMs, undefined, { ref: false })]);
    this.stop.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    // What is settled in this turn of the event loop belongs to the first row.
    await Promise.resolve();
    try {
      await this.writeWaiting();
    } finally {
      this.running = null;
    }
  }

  private async writeWaiting(): Promise<void> {
    while (this.waiting.length > 0 && !this.stop.signal.aborted) {
      if (this.waiting.length < linger.below) await delay(linger.ms);
      const group = this.take();
      try {
        await this.commit(group);
      } catch (error) {
        if (this.stop.signal.aborted) return;
        // Of no message's own fault: the same ones, until it works, or their clients lose patience.
        this.options.log(`The journal of messages for NATS cannot be written: ${String(error)}`);
        this.waiting = group.concat(this.waiting);
        await delay(retryMs, undefined, { signal: this.stop.signal }).catch(() => {});
        continue;
      }
      for (const pending of group) deliveries.acknowledge(pending);
    }
  }

  private take(): Pending[] {
    const { waiting } = this;
    let bytes = 0;
    let count = 0;
    while (count < waiting.length && count < rowMessagesMax && (bytes === 0 || bytes < rowBytesMax))
      bytes += waiting[count++]?.bytes ?? 0;
    this.waiting = waiting.slice(count);
    return count === waiting.length ? waiting : waiting.slice(0, count);
  }

  private async commit(group: readonly Pending[]): Promise<void> {
    const wait = { signal: this.stop.signal };
    const body = packedDeliveries(group);
    const messages = group.length;
    const { lane } = await untilCommitted(this.database, () => this.ownLane(), wait);
    const how = { write: randomUUID(), writtenAt: Date.now() };
    await untilCommitted(this.database, () => this.partitions.ensure([how.writtenAt]), wait);
    const append = () => appendRow(this.database, lane, { messages, body }, how);
    const { id, total } = await untilCommitted(this.database, append, wait);
    this.options.onWritten({ id, messages, total, body });
  }

  private ownLane(): Promise<Lane> {
    this.lane ??= openLane(this.database, this.options.lane);
    this.lane.catch(() => (this.lane = null));
    return this.lane;
  }

  private flushPassing(): void {
    if (this.passTimer !== null) clearTimeout(this.passTimer);
    this.passTimer = null;
    const { passing } = this;
    this.passing = [];
    if (passing.length === 0) return;
    const size = passing.reduce((sum, one) => sum + frameBytesMax(one, Buffer.byteLength(one.payload)), 0);
    this.options.onPassed(passing.length, packed(passing, size));
  }
}

function payloadOf({ message, payload }: Passing): string | Buffer | undefined {
  return message ?? payload;
}

function packedDeliveries(group: readonly Pending[]): Buffer {
  let size = 0;
  const messages = group.map(({ delivery, refused, bytes }) => {
    size += frameBytesMax(delivery, bytes);
    return refused === 0 ? delivery : { ...delivery, refused };
  });
  return packed(messages, size);
}

/** In memory of its own, which can be given to another thread. */
function packed(messages: readonly Packable[], size: number): Buffer {
  return pack(messages, Buffer.allocUnsafeSlow(size + 1));
}

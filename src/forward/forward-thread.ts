import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { openDatabase, untilCommitted, type Database } from '../database/database.js';
import { connectNats, placeOf } from './connect.js';
import { dropOldDays, openLane, type JournalRow } from './journal-store.js';
import { LaneLocks } from './lane-locks.js';
import { LaneRun } from './lane-run.js';
import { listLanes, type LaneState } from './mark-store.js';
import { PassingQueue } from './passing.js';
import { createPublisher, type Publisher } from './publisher.js';
import { findOrMakeStream, type StreamFound } from './stream.js';
import type { DropReason, ForwardState, FromThread, ThreadSettings } from './thread-talk.js';

const backoffMinMs = 250;
const backoffMaxMs = 10_000;
const lanesEveryMs = 500;
const tellEveryMs = 500;
const cleanEveryMs = 3_600_000;
/** A connection that held this long was good: the next attempt comes at once. */
const steadyMs = 10_000;
const drainMs = 1_500;

interface Running {
  readonly run: LaneRun;
  readonly done: Promise<void>;
}

/** Forwards this instance's lane, and those that nobody else forwards, for as long as it lives. */
export class ForwardThread {
  private readonly database: Database;
  private readonly locks: LaneLocks;
  private readonly passing: PassingQueue;
  private readonly runs = new Map<number, Running>();
  private readonly closing = new AbortController();
  private readonly working: Promise<unknown>;
  private ownLane: number | null = null;
  private publisher: Publisher | null = null;
  private perSecond: number | null = null;
  private problem: string | null = null;
  private differences: readonly string[] = [];
  private lanes: readonly LaneState[] = [];
  private forwarded = { messages: 0, passed: 0, lagsMs: [] as number[] };

  constructor(
    private readonly settings: ThreadSettings,
    private readonly say: (message: FromThread) => void,
  ) {
    this.database = openDatabase({
      url: settings.databaseUrl,
      connectionsMax: 2,
      applicationName: 'meterflow forward',
    });
    this.locks = new LaneLocks(settings.databaseUrl, () => this.publisher?.end('the database is away'));
    this.passing = new PassingQueue(settings.stream.prefix, settings.passingMax, {
      passed: (messages) => (this.forwarded.passed += messages),
      dropped: (messages, details) => this.dropped(messages, 'qos 0', details),
    });
    this.working = Promise.all([this.connectForEver(), this.tellForEver(), this.cleanForEver()]);
  }

  hand(row: JournalRow): void {
    if (this.ownLane !== null) this.runs.get(this.ownLane)?.run.hand(row);
  }

  pass(body: Buffer): void {
    this.passing.add(body);
  }

  pace(perSecond: number | null): void {
    this.perSecond = perSecond;
    this.publisher?.pace(perSecond);
  }

  /** What is under way gets a moment; the next one goes on where this one ended. */
  async close(): Promise<void> {
    for (const { run } of this.runs.values()) run.stop();
    const deadline = performance.now() + drainMs;
    while ((this.publisher?.inflight ?? 0) > 0 && performance.now() < deadline) await delay(10);
    this.closing.abort();
    this.publisher?.end('closing');
    await this.working;
    this.tell();
    await this.database.close();
  }

  private async connectForEver(): Promise<void> {
    const { signal } = this.closing;
    let backoffMs = backoffMinMs;
    while (!signal.aborted) {
      const begun = performance.now();
      const reason = await this.session();
      if (signal.aborted) return;
      if (this.problem !== reason)
        this.log('warn', `Not forwarding to NATS at ${placeOf(this.settings.address)}: ${reason}`);
      this.problem = reason;
      if (performance.now() - begun > steadyMs) backoffMs = backoffMinMs;
      await delay(backoffMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
      backoffMs = Math.min(2 * backoffMs, backoffMaxMs);
    }
  }

  /** One connection, from its making to its end. @returns why it ended */
  private async session(): Promise<string> {
    let connection: NatsConnection | null = null;
    try {
      const { address, stream, instance } = this.settings;
      connection = await connectNats(address, `meterflow ${instance}`);
      const found = await findOrMakeStream(connection, stream);
      this.tellStream(found);
      return await this.forward(connection, found);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      this.publisher = null;
      await connection?.close().catch(() => {});
    }
  }

  private async forward(connection: NatsConnection, found: StreamFound): Promise<string> {
    const ended = new AbortController();
    const publisher = createPublisher(connection, () => ended.abort());
    void connection.closed().then((error) => publisher.end(error?.message ?? 'the connection was closed'));
    void this.watchErrors(connection, publisher);
    this.publisher = publisher;
    publisher.pace(this.perSecond);
    this.passing.use(publisher);
    try {
      while (publisher.problem === null && !this.closing.signal.aborted) {
        await this.keepLanes(publisher, found, ended.signal);
        await delay(lanesEveryMs, undefined, { signal: ended.signal }).catch(() => {});
      }
      return publisher.problem ?? 'closing';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      publisher.end('the session is over');
      this.passing.use(null);
      await this.leaveLanes();
    }
  }

  /** What the server refuses without an answer, for instance for want of a permission. */
  private async watchErrors(connection: NatsConnection, publisher: Publisher): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === 'error') publisher.end(status.error.message);
    }
  }

  private async keepLanes(publisher: Publisher, found: StreamFound, signal: AbortSignal): Promise<void> {
    this.ownLane ??= (await openLane(this.database, this.settings.instance)).lane;
    this.lanes = await listLanes(this.database);
    for (const lane of this.lanes) {
      const running = this.runs.get(lane.lane);
      const isOwn = lane.lane === this.ownLane;
      const isBehind = lane.last_id > lane.marked_id;
      if (running === undefined && (isOwn || isBehind) && (await this.locks.take(lane.lane)))
        this.start(lane, publisher, found, signal);
      else if (running !== undefined && !isOwn && running.run.cursor >= lane.last_id)
        await this.leave(lane.lane, running);
      await running?.run.save();
    }
    this.problem = null;
  }

  private start(lane: LaneState, publisher: Publisher, found: StreamFound, signal: AbortSignal): void {
    if (lane.lane !== this.ownLane)
      this.log('info', `Forwarding for instance ${lane.name}, which does not at the moment`);
    const { name, prefix } = this.settings.stream;
    const run = new LaneRun(
      lane,
      this.database,
      { name, prefix },
      {
        forwarded: (messages, receivedAt) => this.noteForwarded(messages, receivedAt),
        dropped: (messages, reason, details) => this.dropped(messages, reason, details),
        rewound: () =>
          this.log(
            'warn',
            `The stream ${name} lacks messages that it had: they are sent again from the journal`,
          ),
      },
    );
    const done = run
      .run(publisher, found, signal)
      .catch((error: unknown) => publisher.end(error instanceof Error ? error.message : String(error)));
    this.runs.set(lane.lane, { run, done });
  }

  /** Nothing of it is left to forward: whoever writes it may have it back. */
  private async leave(lane: number, { run, done }: Running): Promise<void> {
    run.stop();
    await done;
    await run.save();
    this.runs.delete(lane);
    await this.locks.giveBack(lane);
  }

  private async leaveLanes(): Promise<void> {
    const left = [...this.runs.values()];
    for (const { run } of left) run.stop();
    await Promise.all(left.map(({ done }) => done));
    this.runs.clear();
    // With the database away, less is marked than is forwarded; the next one finds out.
    await Promise.all(left.map(({ run }) => run.save().catch(() => {})));
    await this.locks.close();
  }

  private async tellForEver(): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      if (this.publisher === null) {
        this.lanes = await listLanes(this.database).catch(() => this.lanes);
      }
      this.tell();
      await delay(tellEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  private async cleanForEver(): Promise<void> {
    const { signal } = this.closing;
    const { keepHours, unforwardedDays } = this.settings;
    while (!signal.aborted) {
      try {
        await untilCommitted(
          this.database,
          () => this.database.transaction((tx) => dropOldDays(tx, { keepHours, unforwardedDays })),
          { signal },
        );
      } catch (error) {
        if (!signal.aborted)
          this.log('warn', `Old days of the journal are not dropped yet: ${String(error)}`);
      }
      await delay(cleanEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  private noteForwarded(messages: number, receivedAt: number): void {
    this.forwarded.messages += messages;
    if (this.forwarded.lagsMs.length < 1_000) this.forwarded.lagsMs.push(Date.now() - receivedAt);
  }

  private dropped(messages: number, reason: DropReason, details: string): void {
    this.say({ kind: 'dropped', messages, reason, details });
  }

  private tell(): void {
    const { forwarded } = this;
    this.forwarded = { messages: 0, passed: 0, lagsMs: [] };
    if (forwarded.messages + forwarded.passed > 0) this.say({ kind: 'forwarded', ...forwarded });
    this.say({ kind: 'state', state: this.stateNow() });
  }

  private stateNow(): ForwardState {
    const isConnected = this.publisher !== null && this.problem === null;
    let backlog = 0;
    let oldest = Number.POSITIVE_INFINITY;
    for (const lane of this.lanes) {
      const run = this.runs.get(lane.lane)?.run;
      backlog += Math.max(0, lane.total - (run?.total ?? lane.marked_total));
      if (run?.oldestUnderWay !== undefined && run.oldestUnderWay !== null)
        oldest = Math.min(oldest, run.oldestUnderWay);
      else if (run === undefined && lane.waiting_since !== null)
        oldest = Math.min(oldest, lane.waiting_since);
    }
    const lagMs = oldest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, Date.now() - oldest);
    const { problem, differences } = this;
    return { isConnected, problem, differences, backlog, lagMs, lanes: this.runs.size };
  }

  private tellStream({ isNew, differences }: StreamFound): void {
    const { name, prefix } = this.settings.stream;
    const place = placeOf(this.settings.address);
    if (isNew) this.log('info', `Made the stream ${name} at NATS ${place} for ${prefix}.>`);
    if (differences.length > 0 && differences.join() !== this.differences.join())
      this.log('warn', `The stream ${name} is left as it is: ${differences.join(', ')}`);
    this.differences = differences;
    this.log('info', `Connected to NATS at ${place}`);
  }

  private log(level: 'info' | 'warn', line: string): void {
    this.say({ kind: 'log', level, line });
  }
}

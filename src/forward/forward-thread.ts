import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { openDatabase, untilCommitted, type Database } from '../database/database.js';
import { connectNats, placeOf } from './connect.js';
import { dropOldDays, type JournalRow } from './journal-store.js';
import { Lanes } from './lanes.js';
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

/** One connection to NATS after the other, the lanes that are forwarded over it, and what is told of them. */
export class ForwardThread {
  private readonly database: Database;
  private readonly lanes: Lanes;
  private readonly passing: PassingQueue;
  private readonly closing = new AbortController();
  private readonly working: Promise<unknown>;
  private publisher: Publisher | null = null;
  private perSecond: number | null = null;
  private problem: string | null = null;
  private differences: readonly string[] = [];
  private forwarded = { messages: 0, passed: 0, lagsMs: [] as number[] };

  constructor(
    private readonly settings: ThreadSettings,
    private readonly say: (message: FromThread) => void,
  ) {
    const { databaseUrl, stream, passingMax } = settings;
    this.database = openDatabase({
      url: databaseUrl,
      connectionsMax: 2,
      applicationName: 'meterflow forward',
    });
    this.lanes = new Lanes(this.database, settings, {
      forwarded: (messages, receivedAt) => this.noteForwarded(messages, receivedAt),
      dropped: (messages, reason, details) => this.dropped(messages, reason, details),
      log: (level, line) => this.log(level, line),
      lost: () => this.publisher?.end('the database is away'),
    });
    this.passing = new PassingQueue(stream.prefix, passingMax, {
      passed: (messages) => (this.forwarded.passed += messages),
      dropped: (messages, details) => this.dropped(messages, 'qos 0', details),
    });
    this.working = Promise.all([this.connectForEver(), this.tellForEver(), this.cleanForEver()]);
  }

  hand(row: JournalRow): void {
    this.lanes.hand(row);
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
    this.lanes.stop();
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
    void watchErrors(connection, publisher);
    this.publisher = publisher;
    publisher.pace(this.perSecond);
    this.passing.use(publisher);
    try {
      while (publisher.problem === null && !this.closing.signal.aborted) {
        await this.lanes.keep(publisher, found, ended.signal);
        this.problem = null;
        await delay(lanesEveryMs, undefined, { signal: ended.signal }).catch(() => {});
      }
      return publisher.problem ?? 'closing';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      publisher.end('the session is over');
      this.passing.use(null);
      await this.lanes.leave();
    }
  }

  private async tellForEver(): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      // While NATS is there, keeping them looks.
      if (this.publisher === null) await this.lanes.look().catch(() => {});
      this.tell();
      await delay(tellEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  private async cleanForEver(): Promise<void> {
    const { signal } = this.closing;
    const { keepHours, unforwardedDays } = this.settings;
    const drop = (): Promise<number> =>
      this.database.transaction((tx) => dropOldDays(tx, { keepHours, unforwardedDays }));
    while (!signal.aborted) {
      try {
        await untilCommitted(this.database, drop, { signal });
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
    const { problem, differences } = this;
    const { messages, since } = this.lanes.waiting();
    return {
      isConnected: this.publisher !== null && problem === null,
      problem,
      differences,
      backlog: messages,
      lagMs: since === null ? 0 : Math.max(0, Date.now() - since),
      lanes: this.lanes.size,
    };
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

/** What the server refuses without an answer, for instance for want of a permission. */
async function watchErrors(connection: NatsConnection, publisher: Publisher): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === 'error') publisher.end(status.error.message);
  }
}

import assert from 'node:assert/strict';
import type { Database } from '../../src/database/database.js';
import { hashSecret } from '../../src/devices/credentials.js';
import { eventually } from './eventually.js';
import { Firmware, type FirmwareOptions } from './firmware.js';

const quarterMs = 15 * 60_000;
const secret = 'the secret of all meters of a test';
/** A dozen of these fill a page of PostgreSQL. */
const padding = '.'.repeat(600);

/** Puts meters into the registry in one statement; thousands over HTTP would take longer than the test. */
export async function insertMeters(database: Database, prefix: string, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  await database.query({
    text: `insert into devices (id, meter_id, type, mqtt_user, password_hash)
           select name, name, 'meter', name, $2 from unnest($1::text[]) as name`,
    values: [names, hashSecret(secret)],
  });
  return names;
}

export function login(port: number, meter: string): FirmwareOptions {
  return { port, user: meter, password: secret };
}

/** What became of every message that was acknowledged ([M-14]). */
export interface Account {
  readonly acknowledged: number;
  readonly stored: number;
  readonly quarantined: number;
  readonly kept: number;
}

/**
 * Meters under load, and the books of it: of each ten messages eight are good readings, one is refused (no energy), one
 * is a message that no other table keeps. Each is unique, so that the books can be compared to the message.
 */
export class Workload {
  readonly meters: Firmware[];
  private readonly good = new Map<string, { acknowledged: boolean }>();
  private readonly bad = new Map<string, { acknowledged: boolean }>();
  private readonly other = new Map<string, { acknowledged: boolean }>();
  private readonly newest: number;
  private readonly sent: number[];
  private target = 0;
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(
    private readonly database: Database,
    port: number,
    private readonly names: readonly string[],
    { ageMs = 0, ...more }: Partial<FirmwareOptions> & { readonly ageMs?: number } = {},
  ) {
    this.newest = Math.floor((Date.now() - ageMs) / quarterMs) * quarterMs;
    this.meters = names.map((name) => new Firmware({ ...login(port, name), ...more }));
    this.sent = names.map(() => 0);
  }

  get acknowledged(): number {
    return this.meters.reduce(
      (sum, { messages, unacknowledged }) => sum + messages.length - unacknowledged,
      0,
    );
  }

  get total(): number {
    return this.meters.reduce((sum, { messages }) => sum + messages.length, 0);
  }

  get online(): number {
    return this.meters.reduce((sum, { online }) => sum + (online ? 1 : 0), 0);
  }

  /** Reconnects of the meter that had most of them. */
  get reconnectsMax(): number {
    return Math.max(...this.meters.map(({ connects }) => connects - 1));
  }

  /** `each` messages of every meter, evenly over `spreadMs`; beside what is being sent already. */
  send(each: number, spreadMs: number): void {
    const begun = Date.now();
    this.target += each * this.names.length;
    let done = 0;
    const timer = setInterval(() => {
      const due =
        spreadMs === 0 ? each : Math.min(each, Math.floor((each * (Date.now() - begun)) / spreadMs));
      for (; done < due; done++) for (const index of this.names.keys()) this.sendNext(index);
      if (done < each) return;
      clearInterval(timer);
      this.timers.delete(timer);
    }, 10);
    this.timers.add(timer);
  }

  /** The next message of a meter. */
  sendNext(index: number): void {
    const n = this.sent[index] ?? 0;
    this.sent[index] = n + 1;
    const name = this.names[index] ?? '';
    const key = `${name}|${n}`;
    if (n % 10 === 4)
      this.publish(this.bad, index, `meters/${name}/readings`, key, { kwh_amount: 0, padding });
    else if (n % 10 === 9) this.publish(this.other, index, `devices/${name}/diagnostics`, key, { padding });
    else {
      // Oldest last: an order that no meter keeps to by itself.
      const time = this.newest - n * quarterMs;
      const reading = { kwh_amount: 0.25, reading_timestamp: time };
      this.publish(this.good, index, `meters/${name}/readings`, `${name}|${time}`, reading);
    }
  }

  /** Waits until everything is acknowledged, then compares the books. */
  async settled(timeoutMs = 30_000): Promise<Account> {
    await eventually(
      () => assert.equal(this.acknowledged, Math.max(this.total, this.target), 'acknowledged, of all'),
      { timeoutMs, intervalMs: 50 },
    );
    return this.audit();
  }

  /** Acknowledged = stored + duplicate + quarantined (+ kept): every single one is found, and nothing else. */
  async audit(): Promise<Account> {
    // Before the look at the tables: more may be acknowledged meanwhile.
    const acknowledged = [this.good, this.bad, this.other].map(
      (messages) => new Set([...messages].filter(([, message]) => message.acknowledged).map(([key]) => key)),
    );
    const [stored, quarantined, kept] = await Promise.all([
      this.keys(`select meter_id || '|' || (extract(epoch from reading_timestamp) * 1000)::bigint as key
                   from meter_readings where meter_id = any($1)`),
      this.keys(`select convert_from(payload, 'UTF8')::json ->> 'key' as key
                   from quarantined_messages where meter_id = any($1)`),
      this.keys(`select convert_from(payload, 'UTF8')::json ->> 'key' as key
                   from device_messages where meter_id = any($1)`),
    ]);
    const tables = [stored, quarantined, kept] as const;
    const sent = [this.good, this.bad, this.other] as const;
    for (const [index, name] of (['stored', 'quarantined', 'kept'] as const).entries()) {
      const found = new Set(tables[index]);
      const missing = [...(acknowledged[index] ?? [])].filter((key) => !found.has(key));
      assert.deepEqual(missing.slice(0, 5), [], `${missing.length} acknowledged and not ${name}`);
      const foreign = [...found].filter((key) => sent[index]?.has(key) !== true);
      assert.deepEqual(foreign.slice(0, 5), [], `${foreign.length} ${name} and never sent`);
      // Without a reconnect nothing was sent twice, so nothing may be there twice.
      if (this.reconnectsMax === 0) assert.equal(tables[index]?.length, found.size, `${name} twice`);
    }
    const [good, bad, other] = acknowledged.map(({ size }) => size);
    return {
      acknowledged: this.acknowledged,
      stored: good ?? 0,
      quarantined: bad ?? 0,
      kept: other ?? 0,
    };
  }

  end(): void {
    for (const timer of this.timers) clearInterval(timer);
    for (const meter of this.meters) meter.end();
  }

  private publish(
    book: Map<string, { acknowledged: boolean }>,
    index: number,
    topic: string,
    key: string,
    payload: object,
  ): void {
    const meter = this.meters[index];
    meter?.publish(topic, JSON.stringify({ key, ...payload }));
    const message = meter?.messages.at(-1);
    if (message !== undefined) book.set(key, message);
  }

  private async keys(text: string): Promise<string[]> {
    const { rows } = await this.database.query<{ key: string }>({ text, values: [this.names] });
    return rows.map(({ key }) => key);
  }
}

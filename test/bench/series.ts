import assert from 'node:assert/strict';
import { openDatabase, type Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import type { Reading } from '../../src/readings/reading.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { createStatistics, type Statistics } from '../../src/statistics/statistics.js';
import { keepUp } from '../../src/statistics/upkeep.js';
import { withServer } from './contest.js';
import { energyOf, meterIdOf } from './load/reading-plan.js';
import { dayMs, days, fillSeries } from './series/fill.js';
import type { Compared, SeriesEntry, SeriesReport, Times } from './series/measured.js';

export interface SeriesOptions {
  /** Of each table. */
  readonly rows: readonly number[];
  /** How often each question is put, of a different meter each time. */
  readonly questions: number;
  readonly log: (line: string) => void;
}

const { signal } = new AbortController();
const zone = 'Africa/Nairobi';
const sweeps = 9;

/** Statistics beside the plain group by over the same table. @throws when the two answer differently */
export async function measureSeries({ rows, questions, log }: SeriesOptions): Promise<SeriesReport> {
  const entries: SeriesEntry[] = [];
  for (const wanted of rows) entries.push(await measureTable(wanted, questions, log));
  return { days, entries };
}

function measureTable(wanted: number, questions: number, log: SeriesOptions['log']): Promise<SeriesEntry> {
  return withServer(async (server) => {
    const database = openDatabase({ url: server.url, queryTimeoutMs: 600_000 });
    try {
      await migrate(database);
      const meters = Math.ceil(wanted / (days * 96));
      const until = Math.floor(Date.now() / 3_600_000) * 3_600_000;
      await fillSeries(database, meters, until);
      const count = await numberOf(database, 'select count(*) from meter_readings');
      const begun = performance.now();
      const upkeep = keepUp(database, { everyMs: 1e9, changesEveryMs: 1e9 });
      await upkeep.ready;
      const sealSeconds = (performance.now() - begun) / 1_000;
      await upkeep.stop();
      await database.query({ text: 'vacuum analyze meter_stats_hourly, meter_stats_daily' });
      const sealed = await numberOf(database, 'select sum(reading_count) from meter_stats_daily');
      log(`${count} rows of ${meters} meters, ${sealed} written down in ${sealSeconds.toFixed(1)} s`);
      const compared = await compare(database, meters, questions, until);
      for (const { question, ours, plain } of compared)
        log(`  ${question}: p95 ${ours.p95.toFixed(1)} ms, plain ${plain.p95.toFixed(1)} ms`);
      return {
        rows: count,
        meters,
        tableMiB: await sizeOf(database, ['meter_readings']),
        writtenMiB: await sizeOf(database, ['meter_stats_hourly', 'meter_stats_daily']),
        sealedRowsPerSecond: sealed / sealSeconds,
        compared,
        freshMicroseconds: await costOf(database, meters, until + 60_000),
        lateMicroseconds: await costOf(database, meters, until - 20 * dayMs + 60_000),
      };
    } finally {
      await database.close();
    }
  });
}

async function compare(
  database: Database,
  meters: number,
  questions: number,
  until: number,
): Promise<Compared[]> {
  const statistics = createStatistics(database);
  const start = until - 31 * dayMs;
  const span = { start, end: until };
  const month = (unit: 'hour' | 'day', time_zone: string) => ({
    ours: async (meter: string) =>
      figures(
        await (unit === 'hour'
          ? statistics.hourly(meter, span)
          : statistics.daily(meter, { ...span, time_zone })),
      ),
    plain: (meter: string) => plainMonth(database, meter, unit, time_zone, start, until),
  });
  const whole = {
    ours: () => numberOf(database, fleet(until, 'meter_daily_stats', 'day_bucket')),
    plain: () => numberOf(database, fleet(until, plainDays, 'day_bucket')),
  };
  const totals = {
    ours: async () => (await statistics.totals({ name: 'bench' })).total_kwh,
    plain: () =>
      numberOf(
        database,
        `select sum(kwh_amount) from meter_readings where user_id = (select id from users where email = 'bench')`,
      ),
  };
  return [
    await both('a month of one meter by hour', month('hour', 'UTC'), meters, questions),
    await both(`a month of one meter by day, ${zone}`, month('day', zone), meters, questions),
    await both('totals of a user with 10 meters', totals, meters, Math.min(questions, 40)),
    await both('30 days of all meters by day', whole, meters, 3),
  ];
}

interface Sides {
  readonly ours: (meter: string) => Promise<unknown>;
  readonly plain: (meter: string) => Promise<unknown>;
}

async function both(question: string, sides: Sides, meters: number, questions: number): Promise<Compared> {
  // A prime step: no meter soon again, neighbours never one after the other.
  const meterOf = (turn: number): string => meterIdOf((turn * 7_919) % meters);
  assert.deepEqual(
    await sides.ours(meterOf(1)),
    await sides.plain(meterOf(1)),
    `${question}: not the same answer`,
  );
  return {
    question,
    ours: await timesOf(sides.ours, meterOf, questions),
    plain: await timesOf(sides.plain, meterOf, questions),
  };
}

async function timesOf(
  ask: (meter: string) => Promise<unknown>,
  meterOf: (turn: number) => string,
  questions: number,
): Promise<Times> {
  const times: number[] = [];
  for (let turn = 0; turn < questions; turn += 1) {
    const begun = performance.now();
    await ask(meterOf(turn));
    times.push(performance.now() - begun);
  }
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p95: at(0.95) };
}

async function plainMonth(
  database: Database,
  meter: string,
  unit: 'hour' | 'day',
  time_zone: string,
  start: number,
  end: number,
): Promise<number[]> {
  const { rows } = await database.query<{ total: number; readings: number }>({
    text: `select date_trunc($2, reading_timestamp, $3) as bucket, count(*)::float8 as readings,
                  sum(kwh_amount)::float8 as total, round(avg(kwh_amount), 4)::float8 as mean,
                  min(kwh_amount)::float8 as least, max(kwh_amount)::float8 as most
             from meter_readings
            where meter_id = $1 and reading_timestamp >= date_trunc($2, $4::timestamptz, $3) and reading_timestamp < $5::timestamptz
            group by 1 order by 1`,
    values: [meter, unit, time_zone, new Date(start).toISOString(), new Date(end).toISOString()],
  });
  return rows.flatMap(({ readings, total }) => [readings, total]);
}

type Buckets = Awaited<ReturnType<Statistics['hourly']>> | Awaited<ReturnType<Statistics['daily']>>;

function figures({ rows }: Buckets): number[] {
  return rows.flatMap(({ reading_count, total_kwh }) => [reading_count, total_kwh]);
}

const plainDays = `(select meter_id, date_trunc('day', reading_timestamp, 'UTC') as day_bucket, count(*) as reading_count,
                          sum(kwh_amount) as total_kwh, round(avg(kwh_amount), 4) as avg_kwh, min(kwh_amount) as min_kwh,
                          max(kwh_amount) as max_kwh
                     from meter_readings where reading_timestamp >= $from and reading_timestamp < $to group by 1, 2) d`;

/** Every figure is asked for, so that none is left out of the work. */
function fleet(until: number, table: string, time: string): string {
  const end = Math.floor(until / dayMs) * dayMs;
  const [from, to] = [end - 30 * dayMs, end].map((at) => `'${new Date(at).toISOString()}'::timestamptz`);
  const rows = table.replace('$from', from ?? '').replace('$to', to ?? '');
  return `select sum(reading_count + total_kwh + avg_kwh + min_kwh + max_kwh) from ${rows}
           where ${time} >= ${from} and ${time} < ${to}`;
}

/** A thousand readings or more, sweep after sweep a minute later. */
async function costOf(database: Database, meters: number, from: number): Promise<number> {
  const writer = createReadingWriter(database, { spacingSeconds: 1 });
  const costs: number[] = [];
  const rounds = Math.min(25, Math.ceil(1_000 / meters));
  for (let sweep = 0; sweep < sweeps; sweep += 1) {
    const time = from + sweep * 60_000;
    const readings = Array.from({ length: rounds * meters }, (_, index) =>
      readingOf(index % meters, time + 2_000 * Math.floor(index / meters)),
    );
    const begun = performance.now();
    const { stored } = await writer.store(readings, { signal });
    if (stored.length !== readings.length)
      throw new Error(`Of ${readings.length} readings ${stored.length} were stored.`);
    costs.push(((performance.now() - begun) * 1_000) / readings.length);
  }
  return costs.toSorted((a, b) => a - b)[Math.floor(sweeps / 2)] ?? 0;
}

function readingOf(index: number, time: number): Reading {
  const meter_id = meterIdOf(index);
  return {
    delivery: 0,
    part: 0,
    device_id: meter_id,
    meter_id,
    user_id: null,
    energy: energyOf(index),
    time,
    source: 'mqtt',
    topic: `meters/${meter_id}/readings`,
    qos: 1,
    payload: '',
    received_at: time,
  };
}

async function sizeOf(database: Database, tables: readonly string[]): Promise<number> {
  const names = tables.map((table) => `'${table}'::regclass`).join(', ');
  const text = `select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent in (${names})`;
  return (await numberOf(database, text)) / 2 ** 20;
}

async function numberOf(database: Database, text: string): Promise<number> {
  const { rows } = await database.query<Record<string, unknown>>({ text });
  return Number(Object.values(rows[0] ?? {})[0]);
}

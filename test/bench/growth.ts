import { openDatabase, type Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import type { Reading } from '../../src/readings/reading.js';
import { createReadingWriter, type ReadingWriter } from '../../src/readings/writer.js';
import { withServer } from './contest.js';
import { energyOf, meterIdOf } from './load/reading-plan.js';
import { cpuSeconds } from './process-tree.js';

/** What a reading costs in writer and database, where the table's size can make itself felt. */
export interface Growth {
  readonly rows: number;
  readonly fillSeconds: number;
  readonly empty: Cost;
  readonly grown: Cost;
}

interface Cost {
  /** Of the median sweep. */
  readonly microseconds: number;
  /** CPU of the database, mean. */
  readonly databaseMicroseconds: number;
}

const meters = 10_000;
const batch = 1_000;
const minuteMs = 60_000;
/** A sweep is a reading of every meter; the first ones, with cold pages and plans, are left out. */
const coldSweeps = 3;
const { signal } = new AbortController();

export function measureGrowth(options: {
  readonly rows: number;
  readonly sweeps: number;
  readonly log: (line: string) => void;
}): Promise<Growth> {
  const { rows, sweeps, log } = options;
  return withServer(async (server) => {
    const database = openDatabase({ url: server.url, queryTimeoutMs: 600_000 });
    try {
      await migrate(database);
      const writer = createReadingWriter(database, { spacingSeconds: 60 });
      // Readings a minute apart that end now; what the table is filled with is older.
      const from = Math.floor(Date.now() / minuteMs - 2 * (sweeps + coldSweeps)) * minuteMs;
      const half = from + (sweeps + coldSweeps) * minuteMs;
      const empty = await costOf(writer, server.pid, from, sweeps);
      log(`empty table: ${empty.microseconds.toFixed(1)} µs a reading`);
      const started = performance.now();
      await fill(database, rows, from);
      const fillSeconds = (performance.now() - started) / 1_000;
      const grown = await costOf(writer, server.pid, half, sweeps);
      log(
        `${rows} rows: ${grown.microseconds.toFixed(1)} µs a reading (filled in ${fillSeconds.toFixed(0)} s)`,
      );
      return { rows, fillSeconds, empty, grown };
    } finally {
      await database.close();
    }
  });
}

async function costOf(writer: ReadingWriter, pid: number, from: number, sweeps: number): Promise<Cost> {
  const costs: number[] = [];
  let cpuBefore = 0;
  for (let sweep = -coldSweeps; sweep < sweeps; sweep += 1) {
    if (sweep === 0) cpuBefore = cpuSeconds([pid]);
    const time = from + (sweep + coldSweeps) * minuteMs;
    const batches = Array.from({ length: meters / batch }, (_, index) => readingsOf(index * batch, time));
    const started = performance.now();
    const results = await Promise.all(batches.map((readings) => writer.store(readings, { signal })));
    const stored = results.reduce((sum, result) => sum + result.stored.length, 0);
    if (stored !== meters) throw new Error(`Of ${meters} readings of a sweep ${stored} were stored.`);
    if (sweep >= 0) costs.push(((performance.now() - started) * 1_000) / meters);
  }
  const databaseMicroseconds = ((cpuSeconds([pid]) - cpuBefore) * 1e6) / (sweeps * meters);
  return {
    microseconds: costs.sort((a, b) => a - b)[Math.floor(costs.length / 2)] ?? 0,
    databaseMicroseconds,
  };
}

function readingsOf(first: number, time: number): Reading[] {
  return Array.from({ length: batch }, (_, index) => ({
    delivery: 0,
    part: 0,
    device_id: meterIdOf(first + index),
    meter_id: meterIdOf(first + index),
    user_id: null,
    energy: energyOf(first + index),
    time,
    source: 'mqtt',
    topic: `meters/${meterIdOf(first + index)}/readings`,
    qos: 1,
    payload: '',
    received_at: time,
  }));
}

/** Every quarter of an hour a row of each meter, in the order in which time would have brought them. */
async function fill(database: Database, rows: number, before: number): Promise<void> {
  const quarters = Math.ceil(rows / meters);
  const quarterMs = 15 * minuteMs;
  const first = (Math.floor(before / quarterMs) - quarters) * quarterMs;
  await database.query({
    text: `select ensure_day_partition('meter_readings', day::date)
             from generate_series(to_timestamp($1::float8 / 1000) at time zone 'UTC',
                                  to_timestamp($2::float8 / 1000) at time zone 'UTC' + interval '1 day',
                                  interval '1 day') as day`,
    values: [first, before],
  });
  await database.query({
    text: `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
           select 'BENCH-' || lpad(m::text, 5, '0'), 1 + (m % 100) * 0.01,
                  to_timestamp(($1::float8 + q * $2::float8) / 1000)
             from generate_series(0, $3::int - 1) as q, generate_series(0, $4::int - 1) as m`,
    values: [first, quarterMs, quarters, meters],
  });
  await database.query({ text: 'vacuum analyze meter_readings' });
  await database.query({ text: 'checkpoint' });
}

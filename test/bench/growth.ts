import { openDatabase, type Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import type { Reading } from '../../src/readings/reading.js';
import { createReadingWriter, type ReadingWriter } from '../../src/readings/writer.js';
import { onStage } from './contest.js';
import { signed } from './contestants/ours.js';
import { startLoad } from './load/load.js';
import { energyOf, meterIdOf } from './load/reading-plan.js';
import { measureStep, type Measured } from './measure.js';
import { cpuSeconds } from './process-tree.js';
import { withServer } from './server.js';

/** What a reading costs on an empty table and on a large one. */
export interface Growth {
  readonly rows: number;
  readonly connections: number;
  /** The whole way: a flood through the signed gateway. */
  readonly gateway: { readonly empty: Measured; readonly grown: Measured };
  /** Writer and database alone, where the size of the table makes itself felt. */
  readonly writer: { readonly empty: Cost; readonly grown: Cost };
}

interface Cost {
  /** Of the median sweep. */
  readonly microseconds: number;
  /** CPU of the database, mean. */
  readonly databaseMicroseconds: number;
}

interface GrowthOptions {
  readonly rows: number;
  readonly floodSeconds: number;
  readonly sweeps: number;
  readonly log: (line: string) => void;
}

const meters = 10_000;
const batch = 1_000;
const minuteMs = 60_000;
/** Of the flood: half of the meters. So many readings of each stay below the broker's bound, where it pauses sockets. */
const connections = 5_000;
const window = 3;
/** A sweep is a reading of every meter; the first ones, with cold pages and plans, are left out. */
const coldSweeps = 3;
const { signal } = new AbortController();

export async function measureGrowth(options: GrowthOptions): Promise<Growth> {
  const gateway = await throughGateway(options);
  return { rows: options.rows, connections, gateway, writer: await throughWriter(options) };
}

function throughGateway({ rows, floodSeconds, log }: GrowthOptions): Promise<Growth['gateway']> {
  return onStage(signed, { meters: connections, log }, async (scene) => {
    const { running, plan, databaseUrl } = scene;
    const where = { host: '127.0.0.1', port: running.mqttPort, plan, first: 0, meters: running.logins };
    const load = await startLoad(where);
    try {
      // Brings keys and pages into memory; each page that a checkpoint left is written to the WAL once as a whole.
      const warmUp = { mode: 'paced', rate: 4_000, seconds: 3 } as const;
      const flood = { mode: 'max', window, seconds: floodSeconds } as const;
      const database = openDatabase({ url: databaseUrl, queryTimeoutMs: 600_000 });
      try {
        await measureStep(scene, load, warmUp);
        // The code is compiled by then, and the table empty again.
        await measureStep(scene, load, { ...flood, seconds: 2 }, 'a flood to warm up');
        await database.query({ text: 'truncate meter_readings' });
        const empty = await measureStep(scene, load, flood, 'flood on an empty table');
        await fill(database, rows, plan.base);
        await measureStep(scene, load, warmUp);
        const grown = await measureStep(scene, load, flood, `flood on ${rows} rows`);
        return { empty, grown };
      } finally {
        await database.close();
      }
    } finally {
      await load.end();
    }
  });
}

function throughWriter({ rows, sweeps, log }: GrowthOptions): Promise<Growth['writer']> {
  return withServer(async (server) => {
    const database = openDatabase({ url: server.url, queryTimeoutMs: 600_000 });
    try {
      await migrate(database);
      const writer = createReadingWriter(database, { spacingSeconds: 60 });
      // Readings a minute apart that end now.
      const from = Math.floor(Date.now() / minuteMs - 2 * (sweeps + coldSweeps)) * minuteMs;
      const half = from + (sweeps + coldSweeps) * minuteMs;
      const empty = await costOf(writer, server.pid, from, sweeps);
      log(`writer on an empty table: ${empty.microseconds.toFixed(1)} µs a reading`);
      await fill(database, rows, from);
      const grown = await costOf(writer, server.pid, half, sweeps);
      log(`writer on ${rows} rows: ${grown.microseconds.toFixed(1)} µs a reading`);
      return { empty, grown };
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

/**
 * Every quarter of an hour a row of each meter, in the order in which time would have brought them: days before and
 * after `base`, so that what is measured from there on lands among them. Three hours are left free for it.
 */
async function fill(database: Database, rows: number, base: number): Promise<void> {
  const half = Math.ceil(rows / meters / 2);
  const quarterMs = 15 * minuteMs;
  const spareMs = 12 * quarterMs;
  await database.query({
    text: `select ensure_day_partition('meter_readings', day::date)
             from generate_series(to_timestamp($1::float8 / 1000) at time zone 'UTC',
                                  to_timestamp($2::float8 / 1000) at time zone 'UTC' + interval '1 day',
                                  interval '1 day') as day`,
    values: [base - half * quarterMs, base + spareMs + half * quarterMs],
  });
  await database.query({
    text: `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
           select 'BENCH-' || lpad(m::text, 5, '0'), 1 + (m % 100) * 0.01,
                  to_timestamp(($1::float8 + q * $2::float8 + case when q < 0 then 0 else $3::float8 end) / 1000)
             from generate_series(-$4::int, $4::int - 1) as q, generate_series(0, $5::int - 1) as m`,
    values: [base, quarterMs, spareMs, half, meters],
  });
  await database.query({ text: 'vacuum analyze meter_readings' });
  await database.query({ text: 'checkpoint' });
}

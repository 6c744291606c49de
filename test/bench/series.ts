import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openDatabase, type Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { keepUp } from '../../src/statistics/upkeep.js';
import { ourApi, plainApi, type ApiContestant } from './api/houses.js';
import { withServer, type BenchServer } from './server.js';
import { watchNeighbours } from './neighbours.js';
import { ask, timesOf, type Asked } from './series/asking.js';
import { dayMs, fillHistory, userIdOf, type History } from './load/history.js';
import { costOfLate } from './series/late.js';
import type { ColdAndWarm, SeriesEntry, SeriesReport } from './series/measured.js';
import { questionsOf, type SeriesQuestion } from './series/questions.js';

export interface SeriesOptions {
  /** Of each table. */
  readonly rows: readonly number[];
  /** How many different meters each question is put of. */
  readonly questions: number;
  readonly log: (line: string) => void;
}

/** A month, and the days before and after it that a span touches. */
const days = 40;
const yearMeters = 20;
const timeoutMs = 1_800_000;

/** Statistics over HTTP, beside a plain server over the same table. @throws when the two answer differently */
export async function measureSeries({ rows, questions, log }: SeriesOptions): Promise<SeriesReport> {
  const entries: SeriesEntry[] = [];
  for (const wanted of rows) entries.push(await measureTable(wanted, questions, log));
  return { days, entries };
}

function measureTable(wanted: number, questions: number, log: SeriesOptions['log']): Promise<SeriesEntry> {
  return withServer(async (server, folder) => {
    const history = historyOf(wanted);
    const filled = await withDatabase(server, (database) => fill(database, history));
    log(
      `${filled.rows} rows of ${history.meters} meters in ${filled.fillSeconds.toFixed(1)} s, ` +
        `${Math.round(filled.sealedRowsPerSecond)} written down a second`,
    );
    const asked = questionsOf(history, questions);
    const neighbours = watchNeighbours([process.pid]);
    const [ours, plain] = [
      await askCold(server, join(folder, 'ours'), ourApi, asked, log),
      await askCold(server, join(folder, 'plain'), plainApi, asked, log),
    ];
    const { cores: othersCores } = neighbours.stop();
    const compared = asked.map(({ name, different }, index) => {
      const [mine, its] = [ours[index], plain[index]];
      if (mine === undefined || its === undefined) throw new Error(`${name} was not asked`);
      assert.deepEqual(mine.first, its.first, `${name}: not the same answer`);
      return { question: name, asked: different, ours: coldAndWarm(mine), plain: coldAndWarm(its) };
    });
    const costs = await withDatabase(server, async (database) => ({
      fleet: await fleetOf(database, history, wanted > 20_000_000 ? 1 : 3),
      late: await costOfLate(database, history),
    }));
    return { ...filled, meters: history.meters, compared, ...costs, othersCores };
  });
}

function historyOf(rows: number): History {
  const until = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  const meters = Math.max(100, Math.ceil(rows / (days * 96)));
  return { meters, days, everyMinutes: 15, yearMeters, emails: ['demo'], metersOfUser: 100, until };
}

type Filled = Pick<SeriesEntry, 'rows' | 'fillSeconds' | 'tableMiB' | 'writtenMiB' | 'sealedRowsPerSecond'>;

async function fill(database: Database, history: History): Promise<Filled> {
  await migrate(database);
  const begun = performance.now();
  await fillHistory(database, history);
  const fillSeconds = (performance.now() - begun) / 1_000;
  const rows = await numberOf(database, 'select count(*) from meter_readings');
  const sealing = performance.now();
  const upkeep = keepUp(database, { everyMs: 1e9, changesEveryMs: 1e9 });
  await upkeep.ready;
  const sealSeconds = (performance.now() - sealing) / 1_000;
  await upkeep.stop();
  await database.query({ text: 'vacuum analyze meter_stats_hourly, meter_stats_daily' });
  await database.query({ text: 'checkpoint' });
  return {
    rows,
    fillSeconds,
    tableMiB: await sizeOf(database, ['meter_readings']),
    writtenMiB: await sizeOf(database, ['meter_stats_hourly', 'meter_stats_daily']),
    sealedRowsPerSecond:
      (await numberOf(database, 'select sum(reading_count) from meter_stats_daily')) / sealSeconds,
  };
}

/** PostgreSQL and the kernel forget first what the one before has read. */
async function askCold(
  server: BenchServer,
  folder: string,
  contestant: ApiContestant,
  questions: readonly SeriesQuestion[],
  log: SeriesOptions['log'],
): Promise<Asked[]> {
  await server.chill();
  await mkdir(folder);
  const house = await contestant.start({ databaseUrl: server.url, folder });
  try {
    const all: Asked[] = [];
    for (const question of questions) {
      const asked = await ask(house.url, question, { 'x-user-id': userIdOf(0) }, [
        server.pid,
        ...house.pids(),
      ]);
      const { cold, warm, cpuMs } = coldAndWarm(asked);
      // At once: a table that took an hour to fill should not be lost to a later question.
      log(
        `  ${contestant.name}, ${question.name}: cold p50/p95 ${cold.p50.toFixed(1)}/${cold.p95.toFixed(1)} ms, ` +
          `warm ${warm.p50.toFixed(1)}/${warm.p95.toFixed(1)} ms, CPU ${cpuMs.toFixed(1)} ms`,
      );
      all.push(asked);
    }
    return all;
  } finally {
    await house.stop();
  }
}

function coldAndWarm({ cold, warm, cpuMs }: Asked): ColdAndWarm {
  return { cold: timesOf(cold), warm: timesOf(warm), cpuMs };
}

/** Every figure is asked for, so that none is left out of the work. @throws when the two differ */
async function fleetOf(
  database: Database,
  { until }: History,
  rounds: number,
): Promise<SeriesEntry['fleet']> {
  const end = Math.floor(until / dayMs) * dayMs;
  const [from, to] = [end - 30 * dayMs, end].map((time) => `'${new Date(time).toISOString()}'::timestamptz`);
  const plainDays = `(select meter_id, date_trunc('day', reading_timestamp, 'UTC') as day_bucket, count(*) as reading_count,
      sum(kwh_amount) as total_kwh, round(avg(kwh_amount), 4) as avg_kwh, min(kwh_amount) as min_kwh, max(kwh_amount) as max_kwh
      from meter_readings where reading_timestamp >= ${from} and reading_timestamp < ${to} group by 1, 2) d`;
  const best = async (table: string): Promise<{ ms: number; sum: number }> => {
    const text = `select sum(reading_count + total_kwh + avg_kwh + min_kwh + max_kwh) from ${table}
                   where day_bucket >= ${from} and day_bucket < ${to}`;
    let ms = Number.POSITIVE_INFINITY;
    let sum = 0;
    for (let round = 0; round < rounds; round += 1) {
      const begun = performance.now();
      sum = await numberOf(database, text);
      ms = Math.min(ms, performance.now() - begun);
    }
    return { ms, sum };
  };
  const [ours, plain] = [await best('meter_daily_stats'), await best(plainDays)];
  assert.equal(ours.sum, plain.sum, '30 days of all meters: not the same answer');
  return { ours: ours.ms, plain: plain.ms };
}

async function withDatabase<T>(server: BenchServer, work: (database: Database) => Promise<T>): Promise<T> {
  const database = openDatabase({ url: server.url, queryTimeoutMs: timeoutMs });
  try {
    await database.ready(20_000);
    return await work(database);
  } finally {
    await database.close();
  }
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

import { Agent } from 'node:http';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openDatabase, type Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { keepUp } from '../../src/statistics/upkeep.js';
import { makeCalls, send, type Headers } from './api/callers.js';
import { assertSame, sampleOf, type Sample } from './api/same.js';
import { ourApi, plainApi, stockApi, type ApiContestant } from './api/houses.js';
import { judgeSubmissions } from './api/judge.js';
import type { ApiEntry, ApiReport } from './api/measured.js';
import { kinds, planCalls, roomForSubmissionsMs, type Kind } from './api/plan.js';
import { meterIdOf } from './load/reading-plan.js';
import { percentile } from './load/latency-histogram.js';
import { watchNeighbours } from './neighbours.js';
import { describe, describeAround, latencyOf, type Latency } from './prepaid/measured.js';
import { ourHouse } from './prepaid/our-house.js';
import { cpuSeconds, memoryMiB } from './process-tree.js';
import { fillHistory, userIdOf, type History } from './load/history.js';
import { withServer } from './server.js';

export interface ApiOptions {
  readonly perSecond: number;
  readonly seconds: number;
  readonly everyMinutes: number;
  readonly log: (line: string) => void;
}

const meters = 1_000;
const metersOfUser = 10;
const warmUpSeconds = 3;

/** Mixed calls on the API, the same data, calls and instants for each. @throws when they answer differently */
export async function measureApi({ perSecond, seconds, everyMinutes, log }: ApiOptions): Promise<ApiReport> {
  return withServer(async (server, folder) => {
    const database = openDatabase({ url: server.url, queryTimeoutMs: 300_000 });
    try {
      const history = historyOf(everyMinutes);
      const rows = await prepare(database, history);
      log(`${rows} readings of ${meters} meters are there`);
      const entries: ApiEntry[] = [];
      let sample: Sample | null = null;
      for (const [index, contestant] of [ourApi, plainApi, stockApi].entries()) {
        const place = join(folder, String(index));
        await mkdir(place);
        const { entry, said } = await measureOne(contestant, {
          database,
          databasePid: server.pid,
          databaseUrl: server.url,
          folder: place,
          history,
          perSecond,
          seconds,
        });
        sample ??= said;
        assertSame(contestant.name, sample, said);
        log(`${entry.name}: ${describe(entry.latency)}; ${describeAround(entry.around)}`);
        entries.push(entry);
      }
      return { perSecond, meters, rows, entries };
    } finally {
      await database.close();
    }
  });
}

function historyOf(everyMinutes: number): History {
  const until = Math.floor((Date.now() - roomForSubmissionsMs) / 3_600_000) * 3_600_000;
  const emails = Array.from({ length: meters / metersOfUser }, (_, index) => `owner${index}@example.org`);
  return { meters, days: 31, everyMinutes, yearMeters: 0, emails, metersOfUser, until };
}

/** @returns how many readings there are */
async function prepare(database: Database, history: History): Promise<number> {
  await database.ready(20_000);
  await migrate(database);
  await fillHistory(database, history);
  const ledger = ourHouse(database.url);
  await ledger.fund(Array.from({ length: meters }, (_, index) => meterIdOf(index)));
  await ledger.close();
  const upkeep = keepUp(database, { everyMs: 1e9, changesEveryMs: 1e9 });
  await upkeep.ready;
  await upkeep.stop();
  const { rows } = await database.query<{ count: number }>({
    text: 'select count(*)::float8 as count from meter_readings',
  });
  return rows[0]?.count ?? 0;
}

interface Round {
  readonly database: Database;
  readonly databasePid: number;
  readonly databaseUrl: string;
  readonly folder: string;
  readonly history: History;
  readonly perSecond: number;
  readonly seconds: number;
}

async function measureOne(
  contestant: ApiContestant,
  { database, databasePid, databaseUrl, folder, history, perSecond, seconds }: Round,
): Promise<{ entry: ApiEntry; said: Sample }> {
  const house = await contestant.start({ databaseUrl, folder });
  try {
    const agent = new Agent({ keepAlive: true });
    const headers: readonly Headers[] = await house.headersOf(
      history.emails.map((_, user) => userIdOf(user)),
    );
    const headersOf = (user: number): Headers => headers[user] ?? {};
    const said = await sampleOf((path) => send(agent, house.url + path, null, headersOf(0)), history);
    agent.destroy();
    const warmUp = planCalls(history, perSecond, warmUpSeconds, 0);
    const before = await makeCalls(house.url, warmUp, headersOf);
    const sent = warmUp.filter(({ body }) => body !== null).length;
    const calls = planCalls(history, perSecond, seconds, sent);
    const neighbours = watchNeighbours([process.pid, databasePid, ...house.pids()]);
    const used = watchCpu({ own: house.pids(), database: [databasePid] });
    const cpuBefore = process.cpuUsage();
    const called = await makeCalls(house.url, calls, headersOf);
    const { own, database: itsDatabase } = used();
    const bench = process.cpuUsage(cpuBefore);
    const entry: ApiEntry = {
      name: contestant.name,
      about: contestant.about,
      calls: calls.length,
      latency: latencyOf(called.latencies),
      byKind: Object.fromEntries(kinds.map((kind) => [kind, latencyOf(called.byKind[kind])])) as Record<
        Kind,
        Latency
      >,
      lateness: percentile(called.lateness, 0.99),
      refused: Object.fromEntries(called.refused),
      stored: before.stored.length + called.stored.length,
      ...(await judgeSubmissions(database, [...before.stored, ...called.stored])),
      cpu: { own: (own * 1_000) / calls.length, database: (itsDatabase * 1_000) / calls.length },
      memoryMiB: memoryMiB(house.pids()),
      around: {
        ...neighbours.stop(),
        ownCores: (own + itsDatabase) / called.seconds,
        benchCpuShare: (bench.user + bench.system) / 1e6 / called.seconds,
      },
    };
    return { entry, said };
  } finally {
    await house.stop();
    // The next one finds what this one found.
    await database.query({ text: `delete from meter_readings where source = 'http'` });
  }
}

type Trees = Readonly<Record<'own' | 'database', readonly number[]>>;

/** @returns how many seconds of a core each tree has used since */
function watchCpu(trees: Trees): () => Record<keyof Trees, number> {
  const secondsOf = (): Record<keyof Trees, number> => ({
    own: cpuSeconds(trees.own),
    database: cpuSeconds(trees.database),
  });
  const before = secondsOf();
  return () => {
    const after = secondsOf();
    return { own: after.own - before.own, database: after.database - before.database };
  };
}

import { openDatabase, type Database } from '../../src/database/database.js';
import { migrate } from '../../src/database/migrate.js';
import { startRedis } from '../support/redis.js';
import { measureTelling } from './cache/cost.js';
import { measureCacheLoad, type CacheLoad } from './cache/load.js';
import type { CacheEntry, CacheReport } from './cache/measured.js';
import { inProcess, inRedis, naive, uncached, type Way } from './cache/ways.js';
import { fillHistory } from './load/history.js';
import { watchNeighbours } from './neighbours.js';
import { withServer } from './server.js';

export interface CacheOptions {
  /** Of readings an hour apart. */
  readonly days: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly log: (line: string) => void;
}

const meters = 10_000;
const metersOfUser = 10;
const load = { meters, perSecond: 1_000, writesPerSecond: 100 };

/** The same questions with no cache, with a plain map, and with ours in the process and in Redis. */
export async function measureCache({ days, seconds, rounds, log }: CacheOptions): Promise<CacheReport> {
  const redis = await startRedis();
  try {
    return await withServer(async (server) => {
      const { url, pid } = server;
      const rows = await fill(url, days);
      const neighbours = watchNeighbours([process.pid, pid]);
      const entries: CacheEntry[] = [];
      for (const way of [uncached, naive, inProcess, inRedis(redis.url)]) {
        const entry = await measureWay(way, url, { ...load, seconds, warmUpSeconds: seconds });
        log(JSON.stringify(entry));
        entries.push(entry);
      }
      const cost = await measureTelling(server, redis.url, rounds);
      const { cores: othersCores } = neighbours.stop();
      return { ...load, rows, seconds, entries, cost, othersCores };
    });
  } finally {
    await redis.remove();
  }
}

async function measureWay(way: Way, url: string, wanted: CacheLoad): Promise<CacheEntry> {
  const [here, there] = [openDatabase({ url }), openDatabase({ url })];
  await Promise.all([here, there].map((database) => database.ready(10_000)));
  const houses = [await way.open(here), await way.open(there)] as const;
  try {
    return await measureCacheLoad(way.name, houses, here, wanted);
  } finally {
    for (const house of houses) await house.close();
    await Promise.all([here.close(), there.close()]);
  }
}

async function fill(url: string, days: number): Promise<number> {
  const database: Database = openDatabase({ url, queryTimeoutMs: 600_000 });
  try {
    await migrate(database);
    const emails = Array.from({ length: meters / metersOfUser }, (_, index) => `owner-${index}`);
    const until = Math.floor(Date.now() / 900_000) * 900_000;
    await fillHistory(database, {
      meters,
      days,
      everyMinutes: 60,
      yearMeters: 0,
      emails,
      metersOfUser,
      until,
    });
    const { rows } = await database.query<{ count: number }>({
      text: 'select count(*)::float8 as count from meter_readings',
    });
    return rows[0]?.count ?? 0;
  } finally {
    await database.close();
  }
}

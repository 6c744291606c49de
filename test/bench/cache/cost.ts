import { createCache } from '../../../src/cache/cache.js';
import { changesOf } from '../../../src/cache/changes.js';
import { openRedisStore } from '../../../src/cache/redis-store.js';
import { openDatabase, type Database } from '../../../src/database/database.js';
import { createReadingWriter } from '../../../src/readings/writer.js';
import { energyReading } from '../../statistics/readings.js';
import { eventually } from '../../support/eventually.js';
import { meterIdOf } from '../load/reading-plan.js';
import { cpuSeconds } from '../process-tree.js';
import type { BenchServer } from '../server.js';
import type { TellingCost } from './measured.js';

const { signal } = new AbortController();
const meters = 10_000;
const batch = 1_000;

/**
 * What telling of writes costs the store: a reading of each of 10,000 meters in calls of 1,000, four at a time, round about:
 * told to nobody, told by NOTIFY to an instance that listens, and forgotten in Redis.
 */
export async function measureTelling(
  { url, pid }: Pick<BenchServer, 'url' | 'pid'>,
  redisUrl: string,
  rounds: number,
): Promise<TellingCost> {
  const [mute, notifying, withRedis, listener] = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const database = openDatabase({ url });
      await database.ready(10_000);
      return database;
    }),
  );
  if (!mute || !notifying || !withRedis || !listener) throw new Error('no database');
  await changesOf(mute).close();
  const stopListening = changesOf(listener).follow({ forget: () => Promise.resolve(true) });
  const redis = { url: redisUrl, password: null, caFile: null };
  const cache = createCache(withRedis, openRedisStore({ redis, database: withRedis }), {
    user_stats: 300,
    recent_readings: 60,
  });
  await eventually(() => cache.problem === null);
  const tellers = [mute, notifying, withRedis].map((database) => ({
    database,
    wall: [] as number[],
    cpu: 0,
  }));
  let time = Date.now() - 6 * 86_400_000;
  try {
    for (const { database } of tellers) await sweepOf(database, (time += 2_000));
    for (let round = 0; round < rounds; round += 1)
      for (const teller of tellers) {
        const before = cpuSeconds([process.pid, pid]);
        teller.wall.push(await sweepOf(teller.database, (time += 2_000)));
        teller.cpu += cpuSeconds([process.pid, pid]) - before;
      }
  } finally {
    await stopListening();
    await cache.close();
    await Promise.all([mute, notifying, withRedis, listener].map((database) => database.close()));
  }
  const [untold, told, redisTold] = tellers.map(({ wall, cpu }) => ({
    wall: median(wall),
    cpu: (cpu * 1e6) / (rounds * meters),
  }));
  if (!untold || !told || !redisTold) throw new Error('nothing was measured');
  return { rounds, readings: meters, untold, notified: told, redis: redisTold };
}

/** Microseconds for each reading. */
async function sweepOf(database: Database, time: number): Promise<number> {
  const writer = createReadingWriter(database, { spacingSeconds: 1 });
  const readings = Array.from({ length: meters }, (_, index) =>
    energyReading(meterIdOf(index), time, 10_000, userOf(index)),
  );
  const begun = performance.now();
  const calls = Array.from({ length: meters / batch }, (_, index) =>
    readings.slice(index * batch, (index + 1) * batch),
  );
  const lane = async (): Promise<void> => {
    for (let call = calls.shift(); call !== undefined; call = calls.shift())
      await writer.store(call, { signal });
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  return ((performance.now() - begun) * 1_000) / meters;
}

function userOf(index: number): string {
  return `00000000-0000-4000-8000-${String(Math.floor(index / 10) + 1).padStart(12, '0')}`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

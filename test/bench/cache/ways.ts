import { cachedAnswers } from '../../../src/cache/answers.js';
import { createCache } from '../../../src/cache/cache.js';
import { changesOf } from '../../../src/cache/changes.js';
import { MemoryStore } from '../../../src/cache/memory-store.js';
import { openRedisStore } from '../../../src/cache/redis-store.js';
import type { Database } from '../../../src/database/database.js';
import { createReadingQueries, type ReadingQueries } from '../../../src/readings/queries.js';
import { createStatistics } from '../../../src/statistics/statistics.js';
import { eventually } from '../../support/eventually.js';

/** What is known of a meter's latest reading, and whether it was kept. */
export interface Told {
  /** Unix ms. */
  readonly time: number;
  readonly isHit: boolean;
}

/** One instance that answers, by one way or another. */
export interface House {
  ask(meter: string, what: 'latest' | 'page'): Promise<Told>;
  /** Questions that reached the database. */
  loads(): number;
  close(): Promise<void>;
}

export interface Way {
  readonly name: string;
  open(database: Database): Promise<House>;
}

const lifetimes = { user_stats: 300, recent_readings: 60 };
const limits = { entriesMax: 20_000, bytesMax: 67_108_864 };

export const uncached: Way = { name: 'no cache', open: (database) => ours(database, null) };
export const inProcess: Way = {
  name: 'in the process',
  open: (database) => ours(database, () => new MemoryStore(limits)),
};

export function inRedis(url: string): Way {
  const redis = { url, password: null, caFile: null };
  return {
    name: 'in Redis',
    open: (database) => ours(database, () => openRedisStore({ redis, database, patienceMs: 5_000 })),
  };
}

async function ours(
  database: Database,
  store: (() => MemoryStore | ReturnType<typeof openRedisStore>) | null,
): Promise<House> {
  const cache = store === null ? null : createCache(database, store(), lifetimes);
  await eventually(() => cache === null || cache.problem === null);
  const { readings, loads } = counted(createReadingQueries(database));
  const answers = cachedAnswers(cache, database, readings, createStatistics(database));
  return {
    async ask(meter, what) {
      if (what === 'latest') {
        const { answer, cache: how } = await answers.latestOf(meter);
        return { time: Date.parse(answer.reading_timestamp), isHit: how === 'hit' };
      }
      const { answer, cache: how } = await answers.range(meter);
      return { time: Date.parse(answer.data[0]?.reading_timestamp ?? ''), isHit: how === 'hit' };
    },
    loads,
    async close() {
      await cache?.close();
      await changesOf(database).close();
    },
  };
}

/** As it is often written: a map, a time, and nothing else. */
export const naive: Way = {
  name: 'a map with 60 s',
  open(database) {
    const { readings, loads } = counted(createReadingQueries(database));
    const kept = new Map<string, { readonly time: number; readonly until: number }>();
    return Promise.resolve({
      async ask(meter, what) {
        const key = `${what} ${meter}`;
        const found = kept.get(key);
        if (found !== undefined && found.until > Date.now()) return { time: found.time, isHit: true };
        const reading =
          what === 'latest' ? await readings.latestOf(meter) : (await readings.range(meter)).data[0];
        const time = Date.parse(reading?.reading_timestamp ?? '');
        kept.set(key, { time, until: Date.now() + 1_000 * lifetimes.recent_readings });
        return { time, isHit: false };
      },
      loads,
      close: () => changesOf(database).close(),
    });
  },
};

function counted(queries: ReadingQueries): { readings: ReadingQueries; loads: () => number } {
  let count = 0;
  const readings: ReadingQueries = {
    ...queries,
    latestOf(meter) {
      count += 1;
      return queries.latestOf(meter);
    },
    range(meter, query) {
      count += 1;
      return queries.range(meter, query);
    },
  };
  return { readings, loads: () => count };
}

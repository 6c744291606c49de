import { deferred } from '../../src/batches/deferred.js';
import { cachedAnswers, type CachedAnswers } from '../../src/cache/answers.js';
import { createCache, type Cache, type Lifetimes } from '../../src/cache/cache.js';
import { changesOf, type Changes } from '../../src/cache/changes.js';
import { MemoryStore } from '../../src/cache/memory-store.js';
import { openRedisStore } from '../../src/cache/redis-store.js';
import type { Store } from '../../src/cache/store.js';
import { openDatabase, type Database } from '../../src/database/database.js';
import { createReadingQueries, type ReadingQueries } from '../../src/readings/queries.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { createStatistics } from '../../src/statistics/statistics.js';
import { energyReading } from '../statistics/readings.js';
import { eventually } from '../support/eventually.js';

/** What a process of ours has of the cache: its own pool, its own writer. */
export interface Instance {
  readonly name: string;
  readonly database: Database;
  readonly cache: Cache;
  readonly answers: CachedAnswers;
  readonly readings: ReadingQueries;
  readonly changes: Changes;
  /** Stores one reading; resolves after the commit. */
  write(meter: string, minutesAgo: number, energy?: number, user?: string | null): Promise<void>;
  close(): Promise<void>;
}

export interface Wish {
  /** Absent: in the process. */
  readonly redisUrl?: string;
  readonly lifetimes?: Partial<Lifetimes>;
  readonly patienceMs?: number;
  /** Redis is not there at all. */
  readonly isAway?: boolean;
  /** Of the process's own. */
  readonly now?: () => number;
}

export async function startInstance(name: string, url: string, wish: Wish = {}): Promise<Instance> {
  const database = openDatabase({ url });
  await database.ready(10_000);
  const readings = createReadingQueries(database);
  const lifetimes = { user_stats: 300, recent_readings: 60, ...wish.lifetimes };
  const cache = createCache(database, storeOf(database, wish), lifetimes);
  const changes = changesOf(database);
  const writer = createReadingWriter(database, { spacingSeconds: 0 });
  const isReady = (): boolean => cache.problem === null || (wish.isAway === true && changes.isHearing);
  await eventually(isReady);
  return {
    name,
    database,
    cache,
    answers: cachedAnswers(cache, database, readings, createStatistics(database)),
    readings,
    changes,
    async write(meter, minutesAgo, energy = 10_000, user = null) {
      const reading = energyReading(meter, Date.now() - minutesAgo * 60_000, energy, user);
      await writer.store([reading], { signal: AbortSignal.timeout(10_000) });
    },
    async close() {
      await cache.close();
      await changes.close();
      await database.close();
    },
  };
}

function storeOf(database: Database, { redisUrl, patienceMs, now }: Wish): Store {
  if (redisUrl === undefined)
    return new MemoryStore({ entriesMax: 1_000, bytesMax: 1_000_000 }, now ?? (() => performance.now()));
  return openRedisStore({
    redis: { url: redisUrl, password: null, caFile: null },
    database,
    ...(patienceMs === undefined ? {} : { patienceMs }),
  });
}

/** What the cache had to say, and the energy of the meter's latest reading. */
export async function latest({ answers }: Instance, meter: string): Promise<[string | null, number]> {
  const { cache, answer } = await answers.latestOf(meter);
  return [cache, answer.kwh_amount];
}

/** A read of the latest reading that has the database's answer already, and ends when it is let go. */
export async function readSlowly(
  { cache, readings }: Instance,
  meter: string,
): Promise<{ letGo(): void; readonly kwh: Promise<number> }> {
  const [reached, released] = [deferred<void>(), deferred<void>()];
  const asked = cache.read({
    type: 'recent_readings',
    of: meter,
    part: 'latest',
    load: async () => {
      const old = await readings.latestOf(meter);
      reached.resolve();
      await released.promise;
      return old;
    },
  });
  await reached.promise;
  return { letGo: released.resolve, kwh: asked.then(({ answer }) => answer.kwh_amount) };
}

/** Hands back the id. */
export async function addUser(database: Database, email: string): Promise<string> {
  const { rows } = await database.query<{ id: string }>({
    text: `insert into users (email, role) values ($1, 'prosumer') returning id::text`,
    values: [email],
  });
  return rows[0]?.id ?? '';
}

/** The meters that this process was told of by others. */
export function hearChanges(instance: Instance): { readonly meters: Set<string>; stop(): Promise<void> } {
  const meters = new Set<string>();
  const stop = instance.changes.follow({
    forget(change) {
      for (const meter of change.everything ? ['*'] : change.meters) meters.add(meter);
      return Promise.resolve(true);
    },
  });
  return { meters, stop };
}

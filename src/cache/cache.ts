import type { Database } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import type { Change } from './change.js';
import { changesOf } from './changes.js';
import { Leases } from './leases.js';
import type { Lease, Store } from './store.js';

/** What a key is of; also the label of the metrics. */
export type CacheType = 'user_stats' | 'recent_readings';

/** Seconds; 0: nothing of it is kept. */
export type Lifetimes = Readonly<Record<CacheType, number>>;

export interface Question<T> {
  readonly type: CacheType;
  /** The meter_id or the id of the user. */
  readonly of: string;
  /** Which answer: a word. */
  readonly part: string;
  /** The answer, as plain data. A failure is everybody's who waits for it, and is not kept. */
  readonly load: () => Promise<T>;
  /** False: an answer to be given, but not kept. */
  readonly mayKeep?: (answer: T) => boolean;
}

export interface Asked<T> {
  /** One's own: to be changed at will. */
  readonly answer: T;
  /** Null: not a question for the cache. */
  readonly cache: 'hit' | 'miss' | null;
}

export interface Cache {
  read<T>(question: Question<T>): Promise<Asked<T>>;
  /** Why answers come from the database alone, for people; null while they do not. */
  readonly problem: string | null;
  close(): Promise<void>;
}

/** An answer that is being read. */
interface Flight {
  readonly text: Promise<string>;
  /** Nobody can join any more: kept, or not. Never rejects. */
  readonly over: Promise<void>;
}

const prefixes: Readonly<Record<CacheType, string>> = {
  user_stats: 'meter:stats:user:',
  recent_readings: 'meter:recent:',
};

/**
 * Answers read through a store. Never older than the last write that this process knows of; of what 200 ask at once, the
 * database is asked once. While the store is away, or a write elsewhere could be missed, every answer comes from the
 * database, shared only by those who ask while it is being read.
 */
export function createCache(database: Database, store: Store, lifetimes: Lifetimes): Cache {
  const changes = changesOf(database);
  /** By the leases of the store; and by our own, which know of what was forgotten in this process. */
  const flights = new Map<string, Flight>();
  const ownFlights = new Map<string, Flight>();
  const ownLeases = new Leases();
  const isOff = lifetimes.user_stats === 0 && lifetimes.recent_readings === 0;
  const unfollow = isOff ? null : changes.follow({ forget });

  async function read<T>(question: Question<T>): Promise<Asked<T>> {
    const { type, of, part } = question;
    const ttlMs = lifetimes[type] * 1_000;
    if (ttlMs === 0) return { answer: await question.load(), cache: null };
    const place = { key: prefixes[type] + of, part };
    const looked = changes.isHearing ? await timed(store.look(place)) : null;
    if (looked !== null && 'text' in looked) {
      metrics.cacheHits.inc({ cache_type: type });
      return { answer: JSON.parse(looked.text) as T, cache: 'hit' };
    }
    metrics.cacheMisses.inc({ cache_type: type });
    const flight =
      looked === null
        ? join(ownFlights, ownLeases.take(place), () => readAway(question))
        : join(flights, looked.lease, (lease) => {
            const begun = readAndKeep(lease, question, ttlMs);
            // For those who cannot ask the store.
            join(ownFlights, ownLeases.take(place), () => begun);
            return begun;
          });
    return { answer: JSON.parse(await flight.text) as T, cache: 'miss' };
  }

  /** Who asks while nothing was forgotten since a reading began, waits for that one. */
  function join(among: Map<string, Flight>, lease: Lease, begin: (lease: Lease) => Flight): Flight {
    const name = `${lease.key} ${lease.part} ${lease.token}`;
    const running = among.get(name);
    if (running !== undefined) return running;
    const flight = begin(lease);
    among.set(name, flight);
    void land(among, name, lease, flight);
    return flight;
  }

  async function land(among: Map<string, Flight>, name: string, lease: Lease, flight: Flight): Promise<void> {
    await flight.over;
    among.delete(name);
    if (among === ownFlights) ownLeases.release(lease);
  }

  function readAndKeep<T>(lease: Lease, question: Question<T>, ttlMs: number): Flight {
    const begun = performance.now();
    const loading = question.load();
    const text = loading.then((answer) => JSON.stringify(answer));
    return { text, over: keepOrRelease() };

    async function keepOrRelease(): Promise<void> {
      try {
        const answer = await loading;
        const leftMs = ttlMs - (performance.now() - begun);
        if (!lease.isOurs) return count('foreign');
        if (question.mayKeep?.(answer) === false || leftMs < 1) return store.release(lease);
        count((await timed(store.keep(lease, await text, leftMs))) ? 'kept' : 'refused');
      } catch {
        // Told to whoever asked.
        store.release(lease);
        count('failed');
      }
    }
  }

  async function forget({ everything, meters, users }: Change): Promise<boolean> {
    const ofMeters = everything ? null : Array.from(meters, (meter) => prefixes.recent_readings + meter);
    const ofUsers = everything ? null : Array.from(users, (user) => prefixes.user_stats + user);
    // All of it begins before the first wait.
    const shared = await Promise.all([
      forgetKeys('recent_readings', ofMeters),
      everything ? true : forgetKeys('user_stats', ofUsers),
    ]);
    return !shared.includes(false);
  }

  async function forgetKeys(type: CacheType, keys: readonly string[] | null): Promise<boolean> {
    if (keys?.length === 0) return true;
    ownLeases.forget(keys);
    const { entries, isShared } = await timed(store.forget(keys));
    if (entries > 0) metrics.cacheInvalidations.inc({ cache_type: type }, entries);
    return isShared;
  }

  return {
    read,
    get problem() {
      if (isOff) return null;
      return changes.isHearing ? store.problem : 'changes cannot be heard from the database';
    },
    async close() {
      await unfollow?.();
      await store.close();
    },
  };
}

function readAway<T>({ load }: Question<T>): Flight {
  count('away');
  const text = load().then((answer) => JSON.stringify(answer));
  return { text, over: settled(text) };
}

async function settled(work: Promise<unknown>): Promise<void> {
  await Promise.allSettled([work]);
}

async function timed<T>(operation: T | Promise<T>): Promise<T> {
  const begun = performance.now();
  try {
    return await operation;
  } finally {
    metrics.cacheSeconds.observe((performance.now() - begun) / 1_000);
  }
}

function count(outcome: 'kept' | 'refused' | 'foreign' | 'away' | 'failed'): void {
  metrics.cacheLoads.inc({ outcome });
}

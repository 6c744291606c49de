import type { Redis } from 'ioredis';
import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible';
import type { Session } from '../database/database.js';
import { limiterOnTable } from './limit-table.js';

/** Where points are kept. Redis and PostgreSQL count for all instances; in memory each counts for itself. */
export type LimitStore =
  | { readonly kind: 'memory' }
  | { readonly kind: 'redis'; readonly redis: Redis }
  | { readonly kind: 'postgres'; readonly session: Session };

export interface CounterOptions {
  readonly name: string;
  readonly points: number;
  readonly seconds: number;
  /** Told why the store is away, and null when it is back. */
  readonly onStore: (problem: string | null) => void;
}

/** So many points in a window of time, which begins with the first of them. */
export interface Counter {
  /** @returns null, or the ms until there are points again */
  take(key: string): Promise<number | null>;
  /** The same, counted in this process only: for a thousand keys at once. */
  takeHere(key: string): Promise<number | null>;
}

/** While the store is away this process counts for itself; the store is tried again after so long. */
const awayMs = 1_000;
const queryMs = 1_000;

export function createCounter(
  store: LimitStore,
  { name, points, seconds, onStore }: CounterOptions,
): Counter {
  const options = { keyPrefix: `meterflow:limit:${name}`, points, duration: seconds };
  const here = new RateLimiterMemory(options);
  const shared = sharedLimiter(store, options);
  let awayUntil = 0;

  async function takeShared(limiter: RateLimiterAbstract, key: string): Promise<number | null> {
    try {
      const waitMs = await spend(limiter, key);
      if (awayUntil !== 0) onStore(null);
      awayUntil = 0;
      return waitMs;
    } catch (error) {
      if (awayUntil === 0) onStore(error instanceof Error ? error.message : String(error));
      awayUntil = performance.now() + awayMs;
      return spend(here, key);
    }
  }

  return {
    take: (key) =>
      shared === null || performance.now() < awayUntil ? spend(here, key) : takeShared(shared, key),
    takeHere: (key) => spend(here, key),
  };
}

/** @throws what the store throws */
async function spend(limiter: RateLimiterAbstract, key: string): Promise<number | null> {
  try {
    await limiter.consume(key);
    return null;
  } catch (spent) {
    if (spent instanceof RateLimiterRes) return Math.max(1, spent.msBeforeNext);
    throw spent;
  }
}

interface LimiterOptions {
  readonly keyPrefix: string;
  readonly points: number;
  readonly duration: number;
}

function sharedLimiter(store: LimitStore, options: LimiterOptions): RateLimiterAbstract | null {
  // Whoever has spent all is refused without asking the store again.
  const inMemoryBlockOnConsumed = options.points + 1;
  if (store.kind === 'memory') return null;
  if (store.kind === 'redis')
    return new RateLimiterRedis({
      ...options,
      storeClient: store.redis,
      rejectIfRedisNotReady: true,
      inMemoryBlockOnConsumed,
    });
  return limiterOnTable(store.session, { ...options, inMemoryBlockOnConsumed }, queryMs);
}

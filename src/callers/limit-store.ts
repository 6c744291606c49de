import type { Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import { logger } from '../operation/logging.js';
import { connectRedis, type RedisSettings } from '../redis/connection.js';
import type { LimitStore } from './limit-counter.js';
import { deleteOver } from './limit-table.js';

/** `auto`: Redis when there is one, else each instance counts for itself. */
export const limitStores = ['auto', 'memory', 'redis', 'postgres'] as const;
export type LimitStoreKind = (typeof limitStores)[number];

export interface OpenLimitStore {
  readonly store: LimitStore;
  readonly close: () => void;
}

/** A limit is worth no wait: after so long each instance counts for itself. */
const commandMs = 500;
const sweepMs = 60_000;

/** @throws DomainError CONFIGURATION when Redis is asked for and there is none */
export function openLimitStore(
  kind: LimitStoreKind,
  { redis, database }: { redis: RedisSettings | null; database: Session },
): OpenLimitStore {
  if (kind === 'postgres') return sweptTable(database);
  if (kind === 'memory' || (kind === 'auto' && redis === null))
    return { store: { kind: 'memory' }, close: () => undefined };
  if (redis === null)
    throw new DomainError('CONFIGURATION', 'Limits are to be kept in Redis, but REDIS_URL is not set.');
  // Whether it answers is told by the counters, which go on without it.
  const connection = connectRedis(redis, 'meterflow-limits', () => undefined, { commandMs });
  return { store: { kind: 'redis', redis: connection }, close: () => connection.disconnect() };
}

/** What is over is deleted; nothing depends on it. */
function sweptTable(session: Session): OpenLimitStore {
  const sweep = (): void => {
    deleteOver(session, Date.now()).catch((error: unknown) =>
      logger('callers').debug({ err: error }, 'limits that are over were not deleted'),
    );
  };
  const timer = setInterval(sweep, sweepMs);
  timer.unref();
  return { store: { kind: 'postgres', session }, close: () => clearInterval(timer) };
}

import { RateLimiterPostgres, type IRateLimiterPostgresOptions } from 'rate-limiter-flexible';
import type { Database } from '../database/database.js';

type Options = Omit<
  IRateLimiterPostgresOptions,
  'storeClient' | 'storeType' | 'tableName' | 'tableCreated' | 'clearExpiredByTimeout'
>;

/** Counts in the table `rate_limits`, alike for all instances, over restarts. */
export function limiterOnTable(database: Database, options: Options): RateLimiterPostgres {
  return new RateLimiterPostgres({
    ...options,
    storeClient: { query: (statement: Statement) => database.query({ ...statement, timeoutMs: 5_000 }) },
    storeType: 'client',
    tableName: 'rate_limits',
    tableCreated: true,
    // Its timer would outlive the database: see `sweepLimits`.
    clearExpiredByTimeout: false,
  });
}

interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** Deletes a part of what has run out. Cheap; for whoever counts much, now and then. */
export async function sweepLimits(database: Database): Promise<void> {
  await database.query({
    name: 'limits-sweep',
    text: `delete from rate_limits where key in
             (select key from rate_limits where expire < extract(epoch from now()) * 1000 limit 10000 for update skip locked)`,
    timeoutMs: 5_000,
  });
}

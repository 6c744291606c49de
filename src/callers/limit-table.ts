import { RateLimiterPostgres, type IRateLimiterPostgresOptions } from 'rate-limiter-flexible';
import type { Session } from '../database/database.js';

type Options = Omit<
  IRateLimiterPostgresOptions,
  'storeClient' | 'storeType' | 'tableName' | 'tableCreated' | 'clearExpiredByTimeout'
>;

/** Counts in the table `rate_limits`, alike for all instances, over restarts. */
export function limiterOnTable(session: Session, options: Options, timeoutMs = 5_000): RateLimiterPostgres {
  return new RateLimiterPostgres({
    ...options,
    storeClient: { query: (statement: Statement) => session.query({ ...statement, timeoutMs }) },
    storeType: 'client',
    tableName: 'rate_limits',
    tableCreated: true,
    // Its timer would outlive the database: see `deleteOver`.
    clearExpiredByTimeout: false,
  });
}

interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
}

/** What is over; nothing depends on it. @param now Unix ms */
export async function deleteOver(session: Session, now: number): Promise<void> {
  await session.query({
    name: 'rate-limits-over',
    text: 'delete from rate_limits where expire < $1::bigint',
    values: [now],
  });
}

/** The count of `key`, and those whose key begins with `prefix`: begun anew. */
export async function deleteCounts(session: Session, key: string, prefix: string): Promise<void> {
  await session.query({
    text: 'delete from rate_limits where key = $1 or starts_with(key, $2)',
    values: [key, prefix],
  });
}

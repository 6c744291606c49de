import type { Database } from '../database/database.js';
import type { Caller } from '../devices/audit.js';
import { findUser } from '../http/callers-store.js';
import { limitDefault, pageRequest, type ListQuery, type Page } from '../http/page.js';
import { ownSorts, rangeSorts, type ReadingQueries, type StoredReading } from '../readings/queries.js';
import { findMeter } from '../readings/query-store.js';
import type { ReadingTotals } from '../statistics/bucket.js';
import type { Statistics } from '../statistics/statistics.js';
import type { Asked, Cache } from './cache.js';

/**
 * The questions that a cache answers, of `ReadingQueries` and `Statistics`, with the same failures: the latest reading
 * of a meter; its first page, and that of the caller's readings, in the usual order and without any filter; the
 * caller's totals. Every other page goes through to the database. Who may ask is judged before, each time.
 */
export interface CachedAnswers {
  latestOf(meter: string): Promise<Asked<StoredReading>>;
  range(meter: string, query?: ListQuery): Promise<Asked<Page<StoredReading>>>;
  own(caller: Caller, query?: ListQuery): Promise<Asked<Page<StoredReading>>>;
  totals(caller: Caller): Promise<Asked<ReadingTotals>>;
}

/** @param cache null: none */
export function cachedAnswers(
  cache: Cache | null,
  database: Database,
  readings: ReadingQueries,
  statistics: Statistics,
): CachedAnswers {
  /** Answers are kept by meter_id; a number may be a drn. */
  async function meterIdOf(meter: string): Promise<string | null> {
    if (!/^[A-Za-z0-9_-]{1,50}$/.test(meter)) return null;
    return /^\d{11}(\d\d)?$/.test(meter) ? findMeter(database, meter) : meter;
  }

  return {
    async latestOf(meter) {
      const load = (): Promise<StoredReading> => readings.latestOf(meter);
      const of = cache === null ? null : await meterIdOf(meter);
      if (cache === null || of === null) return uncached(load);
      const mayKeep = ({ meter_id }: StoredReading): boolean => meter_id === of;
      return cache.read({ type: 'recent_readings', of, part: 'latest', load, mayKeep });
    },
    async range(meter, query = {}) {
      const load = (): Promise<Page<StoredReading>> => readings.range(meter, query);
      const of =
        cache !== null && isFirstPage(query, rangeSorts, ['source', 'minted'])
          ? await meterIdOf(meter)
          : null;
      if (cache === null || of === null) return uncached(load);
      // Under another name than its meter_id, or without any reading to tell it by.
      const mayKeep = ({ data: [first] }: Page<StoredReading>): boolean => first?.meter_id === of;
      return cache.read({ type: 'recent_readings', of, part: 'first-page', load, mayKeep });
    },
    async own(caller, query = {}) {
      const user =
        cache !== null && isFirstPage(query, ownSorts, ['source', 'minted', 'meter_id'])
          ? await findUser(database, caller)
          : null;
      if (cache === null || user === null) return uncached(() => readings.own(caller, query));
      const load = (): Promise<Page<StoredReading>> => readings.own({ ...caller, user_id: user }, query);
      return cache.read({ type: 'user_stats', of: user.toLowerCase(), part: 'first-page', load });
    },
    async totals(caller) {
      const user = cache === null ? null : await findUser(database, caller);
      if (cache === null || user === null) return uncached(() => statistics.totals(caller));
      const load = (): Promise<ReadingTotals> => statistics.totals({ ...caller, user_id: user });
      return cache.read({ type: 'user_stats', of: user.toLowerCase(), part: 'totals', load });
    },
  };
}

async function uncached<T>(load: () => Promise<T>): Promise<Asked<T>> {
  return { answer: await load(), cache: null };
}

/** @throws DomainError SCHEMA_INVALID, as the question itself does */
function isFirstPage<Sort extends string>(
  query: ListQuery,
  sorts: readonly [Sort, ...Sort[]],
  filters: readonly string[],
): boolean {
  const { page, limit, sort, order, start, end } = pageRequest(query, sorts);
  if (filters.some((name) => !['', null, undefined].includes(query[name] as never))) return false;
  const isUsual = sort === sorts[0] && order === 'desc' && start === null && end === null;
  return isUsual && page === 1 && limit === limitDefault;
}

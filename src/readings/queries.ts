import type { Database } from '../database/database.js';
import type { Caller } from '../devices/audit.js';
import { DomainError, type ErrorDetail } from '../errors.js';
import { findUser } from '../http/callers-store.js';
import { pageRequest, refuseWrong, type ListQuery, type Page, type PageRequest } from '../http/page.js';
import { selectTotals } from '../statistics/statistics-store.js';
import { countOf, findCountable } from './count-store.js';
import {
  findLatestOf,
  findMeter,
  findMetersOf,
  selectLastDay,
  selectLatest,
  selectMeters,
  type ChartPoint,
  type MeterOverview,
  type StoredReading,
} from './query-store.js';
import { countRange, selectRange, type RangeScope, type ReadingFilter } from './range-store.js';

export type { ChartPoint, MeterOverview, StoredReading } from './query-store.js';

/** What the list of latest readings can be sorted by, the default first. */
export const latestSorts = ['reading_timestamp', 'meter_id', 'kwh_amount', 'submitted_at'] as const;

/** What the readings of one meter and one's own can be sorted by, the default first. */
export const rangeSorts = ['reading_timestamp', 'kwh_amount', 'submitted_at'] as const;
export const ownSorts = [...rangeSorts, 'meter_id'] as const;
/** The ways a reading came. */
export const sources = ['mqtt', 'http', 'batch'] as const;

/** Questions about stored readings; each throws DomainError SCHEMA_INVALID when a field of the query is wrong. */
export interface ReadingQueries {
  /** The latest reading of every registered meter that has one, without mocks; sort by reading_timestamp, meter_id, kwh_amount or submitted_at. `owner`: only of meters that are this account's now. */
  latest(query?: ListQuery, owner?: string | null): Promise<Page<StoredReading>>;
  /** @throws DomainError METER_UNKNOWN, NO_READING. */
  latestOf(meter_id: string): Promise<StoredReading>;
  /**
   * Readings from `start` (included) to `end` (not included), newest first; filters: source, minted.
   * @throws DomainError METER_UNKNOWN.
   */
  range(meter_id: string, query?: ListQuery): Promise<Page<StoredReading>>;
  /** The same of all meters of a user, of the time in which they were his; filter: meter_id as well. Mocks are left out. */
  own(caller: Caller, query?: ListQuery): Promise<Page<StoredReading>>;
  /** The last 24 hours for a chart, oldest first. @throws DomainError METER_UNKNOWN. */
  lastDayOf(meter_id: string): Promise<ChartPoint[]>;
  /** Every registered device that measures or has measured, by meter_id, without mocks; at most 1,000. */
  meters(): Promise<MeterOverview[]>;
}

/** A meter may be named by its meter_id or its drn. */
export function createReadingQueries(database: Database): ReadingQueries {
  async function known(meter: unknown): Promise<string> {
    const meter_id = typeof meter === 'string' && isName(meter) ? await findMeter(database, meter) : null;
    return meter_id ?? refuseUnknown(meter);
  }

  /** @param countAll of the scope without filter and span */
  async function pageOf(
    scope: RangeScope,
    request: PageRequest<(typeof ownSorts)[number]>,
    countAll: () => Promise<number>,
  ): Promise<Page<StoredReading>> {
    const { page, limit, offset, start, end } = request;
    const isAll =
      start === null && end === null && Object.values(scope.filter).every((each) => each === null);
    const count = isAll ? countAll : () => countRange(database, scope, request);
    const total = scope.meters.length === 0 ? 0 : await count();
    const data = offset < total ? await selectRange(database, scope, request) : [];
    return { data, page, limit, total };
  }

  return {
    async latest(query = {}, owner = null) {
      const request = pageRequest(query, latestSorts);
      return { ...(await selectLatest(database, request, owner)), page: request.page, limit: request.limit };
    },
    async latestOf(meter) {
      const found = isName(meter) ? await findLatestOf(database, meter) : null;
      if (found === null) refuseUnknown(meter);
      if (found.reading === null)
        throw new DomainError('NO_READING', `The meter ${found.meter_id} has no reading yet.`);
      return found.reading;
    },
    async range(meter, query = {}) {
      const request = pageRequest(query, rangeSorts);
      const filter = filterOf(query);
      const found = isName(meter) ? await findCountable(database, meter) : null;
      if (found === null) refuseUnknown(meter);
      const scope = { meters: [found.meter_id], user_id: null, filter };
      return pageOf(scope, request, () => countOf(database, found));
    },
    async own(caller, query = {}) {
      const request = pageRequest(query, ownSorts);
      const filter = filterOf(query);
      const user = await findUser(database, caller);
      const meter_id = query['meter_id'] ?? '';
      const meters = (user === null ? [] : await findMetersOf(database, user)).filter(
        (each) => meter_id === '' || each === meter_id,
      );
      const scope = { meters, user_id: user, filter };
      const isOfAll = user !== null && meter_id === '';
      return pageOf(scope, request, async () =>
        isOfAll ? (await selectTotals(database, user)).total_readings : countRange(database, scope, request),
      );
    },
    lastDayOf: async (meter) => selectLastDay(database, await known(meter)),
    meters: () => selectMeters(database),
  };
}

function refuseUnknown(meter: unknown): never {
  throw new DomainError('METER_UNKNOWN', `There is no meter ${JSON.stringify(meter)}.`);
}

function filterOf(query: ListQuery): ReadingFilter {
  const wrong: ErrorDetail[] = [];
  const source = query['source'] ?? '';
  const minted = query['minted'] ?? '';
  const found = sources.find((each) => each === source);
  if (found === undefined && source !== '')
    wrong.push({ path: '/source', message: `must be one of ${sources.join(', ')}` });
  if (!['', 'true', 'false', true, false].includes(minted as never))
    wrong.push({ path: '/minted', message: 'must be true or false' });
  refuseWrong(wrong);
  return { source: found ?? null, minted: minted === '' ? null : minted === true || minted === 'true' };
}

/** Whatever else stands in a path is no meter's name, a NUL among them, which PostgreSQL would not even take. */
function isName(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,50}$/.test(text);
}

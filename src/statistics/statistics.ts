import type { Database } from '../database/database.js';
import type { Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { findUser } from '../http/callers-store.js';
import { pageRequest, type ListQuery } from '../http/page.js';
import {
  daySorts,
  hourSorts,
  type BucketStatistics,
  type DayStatistics,
  type HourStatistics,
  type ReadingTotals,
} from './bucket.js';
import { daySpan, hourSpan, spanOf, type SpanRule } from './span.js';
import { findOutlook, none, selectBuckets, selectTotals, type BucketRow } from './statistics-store.js';
import { refuseZone, zoneOf } from './zone.js';

/** Rows of one answer, and how many there are in all of the span. */
export interface Counted<T> {
  readonly rows: T[];
  readonly total: number;
}

/**
 * Statistics of readings, right at every moment, also for readings that came late or were removed. A bucket counts when
 * some of it lies between `start` (included) and `end` (not included), and then as a whole. With `page` or `limit` a
 * part of the rows, else all of them. Buckets without readings are left out.
 */
export interface Statistics {
  /** Ascending, 31 days unless told otherwise, at most 366. @throws DomainError METER_UNKNOWN, SCHEMA_INVALID */
  hourly(meter: string, query?: ListQuery): Promise<Counted<HourStatistics>>;
  /** In `time_zone` (UTC), 366 days unless told otherwise, at most 3,660. @throws as `hourly` */
  daily(meter: string, query?: ListQuery): Promise<Counted<DayStatistics>>;
  /** Of all readings of a user that are kept; all zero without an account. */
  totals(caller: Caller): Promise<ReadingTotals>;
}

export function createStatistics(database: Database, now: () => number = Date.now): Statistics {
  async function buckets<T extends BucketStatistics>(
    meter: string,
    query: ListQuery,
    { unit, rule, sorts, zone, shown }: Kind<T>,
  ): Promise<Counted<T>> {
    const request = pageRequest(query, sorts, 'asc');
    const span = spanOf(request, rule, now());
    const outlook = isName(meter) ? await inZone(findOutlook(database, meter, unit, span, zone)) : null;
    if (outlook === null)
      throw new DomainError('METER_UNKNOWN', `There is no meter ${JSON.stringify(meter)}.`);
    if (outlook.mock || span.start >= span.end) return { rows: [], total: 0 };
    const rows = await selectBuckets(database, outlook, unit, zone, request);
    const { offset, limit } = isPaged(query) ? request : { offset: 0, limit: rows.length };
    return {
      rows: rows.slice(offset, offset + limit).map((row) => shown(row, outlook.meter_id)),
      total: rows.length,
    };
  }

  return {
    hourly: (meter, query = {}) =>
      buckets(meter, query, { unit: 'hour', rule: hourSpan, sorts: hourSorts, zone: 'UTC', shown: asHour }),
    async daily(meter, query = {}) {
      const zone = zoneOf(query);
      return buckets(meter, query, { unit: 'day', rule: daySpan, sorts: daySorts, zone, shown: asDay });
    },
    async totals(caller) {
      const user = await findUser(database, caller);
      return user === null ? none : selectTotals(database, user);
    },
  };
}

interface Kind<T> {
  readonly unit: 'hour' | 'day';
  readonly rule: SpanRule;
  readonly sorts: typeof hourSorts | typeof daySorts;
  readonly zone: string;
  readonly shown: (row: BucketRow, meter_id: string) => T;
}

/** JavaScript and PostgreSQL have their lists of time zones from different years. */
async function inZone<T>(question: Promise<T>): Promise<T> {
  try {
    return await question;
  } catch (error) {
    // invalid_parameter_value: "time zone … not recognized"
    if (error instanceof Error && 'code' in error && error.code === '22023') refuseZone();
    throw error;
  }
}

function isPaged(query: ListQuery): boolean {
  return ['page', 'limit'].some((name) => !['', null, undefined].includes(query[name] as never));
}

function isName(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,50}$/.test(text);
}

function asHour(row: BucketRow, meter_id: string): HourStatistics {
  return { hour_bucket: row.bucket.toISOString(), ...figuresOf(row, meter_id) };
}

function asDay(row: BucketRow, meter_id: string): DayStatistics {
  return { day_bucket: row.bucket.toISOString(), date: row.date, ...figuresOf(row, meter_id) };
}

function figuresOf(row: BucketRow, meter_id: string): BucketStatistics {
  const { reading_count, total_kwh, avg_kwh, min_kwh, max_kwh } = row;
  return { meter_id, reading_count, total_kwh, avg_kwh, min_kwh, max_kwh };
}

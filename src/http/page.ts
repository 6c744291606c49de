import { DomainError, type ErrorDetail } from '../errors.js';
import { parseTimestamp } from '../readings/timestamp.js';

/** One page of a list, as the HTTP API answers it (section 4). */
export interface Page<T> {
  readonly data: T[];
  readonly page: number;
  readonly limit: number;
  readonly total: number;
}

/** What a caller asks for: numbers, or the texts of a query string. Unknown names are ignored. */
export type ListQuery = Readonly<Record<string, unknown>>;

export interface PageRequest<Sort extends string> {
  readonly page: number;
  readonly limit: number;
  readonly offset: number;
  readonly sort: Sort;
  readonly order: 'asc' | 'desc';
  /** Unix ms; null: no bound. */
  readonly start: number | null;
  readonly end: number | null;
}

export const limitMax = 100;
export const limitDefault = 20;
/** Beyond this an offset is a mistake, and it must fit PostgreSQL's bigint. */
export const pageMax = 1_000_000_000;

/**
 * Reads page, limit, sort, order, start and end. `sorts` are the fields a list can be sorted by, the default first.
 * @throws DomainError SCHEMA_INVALID naming each field that is wrong.
 */
export function pageRequest<Sort extends string>(
  query: ListQuery,
  sorts: readonly [Sort, ...Sort[]],
  orderDefault: 'asc' | 'desc' = 'desc',
): PageRequest<Sort> {
  const wrong: ErrorDetail[] = [];
  const page = wholeNumber(query, 'page', 1, pageMax, wrong);
  const limit = wholeNumber(query, 'limit', limitDefault, limitMax, wrong);
  const sort = oneOf(query, 'sort', sorts, sorts[0], wrong);
  const order = oneOf(query, 'order', ['asc', 'desc'] as const, orderDefault, wrong);
  const start = moment(query, 'start', wrong);
  const end = moment(query, 'end', wrong);
  refuseWrong(wrong);
  return { page, limit, offset: (page - 1) * limit, sort, order, start, end };
}

/** @throws DomainError SCHEMA_INVALID unless there is nothing in the list. */
export function refuseWrong(wrong: readonly ErrorDetail[]): void {
  if (wrong.length === 0) return;
  const fields = wrong.map(({ path, message }) => `${path.slice(1)} ${message}`).join('; ');
  throw new DomainError('SCHEMA_INVALID', `The query is wrong: ${fields}.`, { details: wrong });
}

function wholeNumber(
  query: ListQuery,
  name: string,
  preset: number,
  max: number,
  wrong: ErrorDetail[],
): number {
  const value = query[name];
  if (isMissing(value)) return preset;
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= max) return number;
  wrong.push({ path: `/${name}`, message: `must be a whole number from 1 to ${max}` });
  return preset;
}

function oneOf<T extends string>(
  query: ListQuery,
  name: string,
  allowed: readonly T[],
  preset: T,
  wrong: ErrorDetail[],
): T {
  const value = query[name];
  if (isMissing(value)) return preset;
  const found = allowed.find((one) => one === value);
  if (found === undefined) wrong.push({ path: `/${name}`, message: `must be one of ${allowed.join(', ')}` });
  return found ?? preset;
}

/** The time of that name in Unix ms; null when it is absent. */
export function moment(query: ListQuery, name: string, wrong: ErrorDetail[]): number | null {
  const value = query[name];
  if (isMissing(value)) return null;
  const time = value instanceof Date ? value.getTime() : parseTimestamp(asTimestamp(value));
  if (!Number.isNaN(time)) return time;
  wrong.push({ path: `/${name}`, message: 'must be RFC 3339, Unix milliseconds or Unix seconds' });
  return null;
}

function asTimestamp(value: unknown): string | number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? (/^-?\d{1,15}$/.test(value) ? Number(value) : value) : NaN;
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

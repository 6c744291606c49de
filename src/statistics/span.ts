import { refuseWrong, type PageRequest } from '../http/page.js';

/** From `start` on, up to `end`, not included; Unix ms. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface SpanRule {
  /** How far it reaches back from its end when nobody says where it starts. */
  readonly daysDefault: number;
  readonly daysMax: number;
}

/** A year of hours, so that an answer stays below 2 MB. */
export const hourSpan: SpanRule = { daysDefault: 31, daysMax: 366 };
export const daySpan: SpanRule = { daysDefault: 366, daysMax: 3660 };

const dayMs = 86_400_000;
/** No reading is older or newer, and PostgreSQL takes every moment in between. */
const earliest = Date.UTC(2000, 0, 1);
const latest = Date.UTC(2100, 0, 1);

/**
 * Without an end up to a day from now, as no reading may be further ahead, or as far from the start as it may be.
 * @throws DomainError SCHEMA_INVALID when it is longer than the rule allows
 */
export function spanOf(
  { start, end }: Pick<PageRequest<string>, 'start' | 'end'>,
  { daysDefault, daysMax }: SpanRule,
  now: number,
): Span {
  const longest = start === null ? Number.POSITIVE_INFINITY : start + daysMax * dayMs;
  const last = end ?? Math.min(now + dayMs, longest);
  const first = start ?? (end ?? now) - daysDefault * dayMs;
  if (last - first > (daysMax + 1) * dayMs)
    refuseWrong([{ path: '/start', message: `must be at most ${daysMax} days before end` }]);
  return { start: within(first), end: within(last) };
}

function within(time: number): number {
  return Math.min(Math.max(time, earliest), latest);
}

import { drawn } from '../../../src/mocks/seeded.js';
import { energyOf, meterIdOf } from '../load/reading-plan.js';
import { dayMs, type History } from '../load/history.js';

/** A question and how many of a hundred calls put it: a dashboard's and an app's day, and a tenth of it writes. */
export const mix = {
  'latest reading': 30,
  'readings, first page': 20,
  'hours of a day': 15,
  balance: 15,
  'totals of an owner': 5,
  'list of devices': 5,
  'submit a reading': 10,
} as const;
export type Kind = keyof typeof mix;
export const kinds = Object.keys(mix) as readonly Kind[];

export interface Call {
  readonly kind: Kind;
  /** After the start, ms. */
  readonly dueMs: number;
  readonly path: string;
  /** Null: a GET. */
  readonly body: string | null;
  /** Number of the user who asks. */
  readonly user: number;
}

export interface Submission {
  readonly meter_id: string;
  readonly kwh_amount: number;
  readonly reading_timestamp: string;
}

const quarterMs = 900_000;
/** Readings of the load are of the hours after the history, every quarter once. */
export const roomForSubmissionsMs = 6 * 3_600_000;

/**
 * Calls as independent callers make them: gaps by chance, known beforehand, the same for everybody.
 * @param first number of the first submission; a number is used once per contestant
 */
export function planCalls(history: History, perSecond: number, seconds: number, first: number): Call[] {
  const calls: Call[] = [];
  let submissions = first;
  for (let dueMs = 0, n = 0; ; n += 1) {
    dueMs += (-Math.log(1 - drawn(1, 'gap', n)) * 1_000) / perSecond;
    if (dueMs >= seconds * 1_000) return calls;
    const kind = kindOf(drawn(2, 'kind', n) * 100);
    const submission = kind === 'submit a reading' ? submissionOf(history, submissions++) : null;
    // Everybody asks of a meter of his own.
    const index = submission?.index ?? Math.floor(drawn(3, 'meter', n) * history.meters);
    const meter = meterIdOf(index);
    const user = Math.floor(index / history.metersOfUser);
    const body = submission === null ? null : JSON.stringify(submission.reading);
    calls.push({ kind, dueMs, path: pathOf(kind, meter, history.until - 3 * dayMs), body, user });
  }
}

function kindOf(percent: number): Kind {
  let below = 0;
  return kinds.find((kind) => percent < (below += mix[kind])) ?? kinds[0] ?? 'balance';
}

/** @param day begins the day of which hours are asked, Unix ms */
export function pathOf(kind: Kind, meter: string, day: number): string {
  const [start, end] = [day, day + dayMs].map((time) => new Date(time).toISOString());
  const paths: Readonly<Record<Kind, string>> = {
    'latest reading': `/api/meter_data/${meter}`,
    'readings, first page': `/api/meters/${meter}/readings`,
    'hours of a day': `/api/meters/${meter}/stats/hourly?start=${start}&end=${end}`,
    balance: `/api/meters/${meter}/balance`,
    'totals of an owner': '/api/meters/stats',
    'list of devices': '/devices?limit=20&sort=meter_id&order=asc',
    'submit a reading': '/api/meters/submit-reading',
  };
  return paths[kind];
}

function submissionOf({ meters, until }: History, number: number): { index: number; reading: Submission } {
  const index = (number * 7_919) % meters;
  const reading = {
    meter_id: meterIdOf(index),
    kwh_amount: energyOf(number) / 10_000,
    reading_timestamp: new Date(until + quarterMs * Math.floor(number / meters)).toISOString(),
  };
  return { index, reading };
}

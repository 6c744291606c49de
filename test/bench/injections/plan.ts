import { luhnDigit } from '../../../src/devices/drn.js';
import { chanceOf, type Chance } from '../../ledger/chance.js';
import { meterIdOf } from '../load/reading-plan.js';

/**
 * What vendor and meter do with one token. `prompt`: the vendor's 202, then the meter's answer. `before`: the meter is
 * faster than the 202. `twice`: the same answer again. `late`: after the deadline. `never`. `refused`: by the meter.
 * `turned down`: by the vendor, and the meter never hears of it.
 */
export type Course = 'prompt' | 'before' | 'twice' | 'late' | 'never' | 'refused' | 'turned down';

/** How long contestants wait for a meter. */
export const answerTimeoutMs = 8_000;

/** One call of somebody who wants a token injected. Two calls may be for the same token. */
export interface Call {
  /** The token's number in the run. */
  readonly token: number;
  /** Index of the meter. */
  readonly meter: number;
  /** From the beginning of the step. */
  readonly dueMs: number;
  readonly course: Course;
  /** From the vendor's call to the meter's answer. */
  readonly delayMs: number;
}

/** How a meter words its answers: the list of records or the object of [T-3], which may name token or message. */
export type Wording = 'records' | 'object' | 'with token' | 'with message';

/** As a meter is called: every second one by its DRN. */
export function numberOf(meter: number): string {
  if (meter % 2 === 0) return meterIdOf(meter);
  const digits = `09${String(meter).padStart(8, '0')}`;
  return `${digits}${luhnDigit(digits)}`;
}

export function wordingOf(meter: number): Wording {
  const share = Math.floor(meter / 2) % 20;
  if (share < 8) return 'records';
  if (share < 14) return 'object';
  return share < 17 ? 'with token' : 'with message';
}

/** Its answers name neither token nor message: the meter is all that is known. */
export function isNameless(meter: number): boolean {
  const wording = wordingOf(meter);
  return wording === 'records' || wording === 'object';
}

const firstToken = ((10_000_000_000_000_000_000n >> 29n) + 1n) << 29n;

/** 20 digits below 2^66, of class 0. */
export function tokenOf(token: number): string {
  return String(firstToken + (BigInt(token) << 29n));
}

const differentUnits = 1_000_000;

/** Ten-thousandths of a unit; another for each of a million tokens, so that an answer says whose it is. */
export function unitsOf(token: number): number {
  return 10_000 + ((token * 7_919) % differentUnits);
}

/** One call after the other at an even pace, meter after meter, with answers around a mean time. */
export function evenCalls({
  first,
  count,
  rate,
  meters,
  answerMs,
}: {
  readonly first: number;
  readonly count: number;
  /** Per second. */
  readonly rate: number;
  readonly meters: number;
  readonly answerMs: number;
}): Call[] {
  const chance = chanceOf(first + 1);
  return Array.from({ length: count }, (_, index) => ({
    token: first + index,
    meter: (first + index) % meters,
    dueMs: (index / rate) * 1_000,
    course: 'prompt',
    delayMs: chance.whole(Math.floor(answerMs * 0.8), Math.ceil(answerMs * 1.2)),
  }));
}

/** Calls for meters by chance, at instants by chance; some of the same meter, or the same token, at once. */
export function randomCalls({
  first,
  count,
  rate,
  meters,
}: {
  readonly first: number;
  readonly count: number;
  readonly rate: number;
  readonly meters: number;
}): Call[] {
  const chance = chanceOf(first + 1);
  const calls: Call[] = [];
  for (let token = first; calls.length < count; token += 1) {
    const dueMs = (calls.length / rate) * 1_000 + chance.whole(0, 20);
    const call = callOf(token, chance.whole(0, meters - 1), dueMs, chance);
    calls.push(call);
    if (chance.percent(3)) calls.push(call);
    if (chance.percent(3)) calls.push(callOf((token += 1), call.meter, dueMs, chance));
  }
  return calls.slice(0, count).toSorted((one, other) => one.dueMs - other.dueMs);
}

function callOf(token: number, meter: number, dueMs: number, chance: Chance): Call {
  const course = courseOf(chance.whole(0, 99));
  const usualMs = chance.percent(10) ? chance.whole(0, 10) : chance.whole(10, 1_500);
  return {
    token,
    meter,
    dueMs,
    course,
    delayMs: course === 'late' ? answerTimeoutMs + chance.whole(500, 2_000) : usualMs,
  };
}

function courseOf(lot: number): Course {
  const shares: readonly [Course, number][] = [
    ['before', 5],
    ['twice', 6],
    ['late', 2],
    ['never', 2],
    ['refused', 6],
    ['turned down', 3],
  ];
  let upTo = 0;
  return shares.find(([, share]) => lot < (upTo += share))?.[0] ?? 'prompt';
}

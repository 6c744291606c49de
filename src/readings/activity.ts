import type { Delivery } from '../broker/delivery.js';
import { isMockId } from '../devices/mock-id.js';
import type { Reading, Rejection } from './reading.js';

export type ActivityOutcome = 'stored' | 'duplicate' | 'rejected' | 'message';
export type ActivityCounts = Readonly<Record<ActivityOutcome, number>>;

/** A stored reading, for people. */
export interface LatestReading {
  readonly meter_id: string;
  readonly kwh_amount: number;
  /** ISO 8601, as all times here. */
  readonly reading_timestamp: string;
  readonly received_at: string;
  readonly source: string;
}

/** A refused reading or message, for people. */
export interface RefusedReading {
  readonly meter_id: string | null;
  readonly code: string;
  readonly reason: string;
  readonly topic: string;
  readonly received_at: string;
}

/** One second of the window: `at` is its beginning in Unix ms. */
export interface ActivityPoint extends ActivityCounts {
  readonly at: number;
}

export interface ActivitySnapshot {
  /** Means of the last five whole seconds. */
  readonly per_second: ActivityCounts;
  /** Since the start. */
  readonly totals: ActivityCounts;
  /** Newest first. */
  readonly latest: LatestReading[];
  /** Newest first. */
  readonly refused: RefusedReading[];
  /** The last whole second; a chart appends it. */
  readonly point: ActivityPoint;
  /** Every whole second of the window, oldest first; a chart that has just opened draws it. */
  readonly series: ActivityPoint[];
}

export interface Activity {
  /** Mocks do not count ([L-3]). */
  add(outcome: ActivityOutcome, items: readonly (Reading | Rejection | Delivery)[]): void;
  snapshot(): ActivitySnapshot;
}

export interface ActivityOptions {
  readonly windowSeconds?: number;
  /** How many of the latest and of the refused are kept. */
  readonly keep?: number;
  /** Unix ms. */
  readonly now?: () => number;
}

const smoothingSeconds = 5;

export function createActivity(options: ActivityOptions = {}): Activity {
  const { windowSeconds = 60, keep = 20, now = Date.now } = options;
  // One slot more than the window: the second that is still running.
  const slots = Array.from({ length: Math.max(windowSeconds, smoothingSeconds) + 1 }, () => ({
    second: -1,
    ...zero(),
  }));
  const totals = zero();
  const latest: Reading[] = [];
  const refused: Rejection[] = [];

  function slotOf(second: number): Counts {
    const slot = slots[second % slots.length] ?? { second, ...zero() };
    if (slot.second !== second) Object.assign(slot, { second, ...zero() });
    return slot;
  }

  function pointOf(second: number): ActivityPoint {
    const slot = slots[second % slots.length];
    const { stored, duplicate, rejected, message } = slot?.second === second ? slot : zero();
    return { at: second * 1000, stored, duplicate, rejected, message };
  }

  return {
    add(outcome, all) {
      const items = all.some(isOfMock) ? all.filter((item) => !isOfMock(item)) : all;
      slotOf(Math.floor(now() / 1000))[outcome] += items.length;
      totals[outcome] += items.length;
      if (outcome === 'stored') keepLast(latest, items.slice(-keep).filter(isReading), keep);
      if (outcome === 'rejected') keepLast(refused, items.slice(-keep).filter(isRefused), keep);
    },
    snapshot() {
      const running = Math.floor(now() / 1000);
      const series: ActivityPoint[] = [];
      for (let second = running - windowSeconds; second < running; second++) series.push(pointOf(second));
      return {
        per_second: meanOf(
          Array.from({ length: smoothingSeconds }, (_, index) => pointOf(running - 1 - index)),
        ),
        totals: { ...totals },
        latest: latest.map(readingForPeople).toReversed(),
        refused: refused.map(refusedForPeople).toReversed(),
        point: pointOf(running - 1),
        series,
      };
    },
  };
}

type Counts = Record<ActivityOutcome, number>;

function zero(): Counts {
  return { stored: 0, duplicate: 0, rejected: 0, message: 0 };
}

function keepLast<T>(kept: T[], items: readonly T[], keep: number): void {
  kept.push(...items);
  if (kept.length > keep) kept.splice(0, kept.length - keep);
}

function isOfMock({ meter_id }: Reading | Rejection | Delivery): boolean {
  return meter_id !== null && isMockId(meter_id);
}

function isReading(item: Reading | Rejection | Delivery): item is Reading {
  return 'energy' in item;
}

function isRefused(item: Reading | Rejection | Delivery): item is Rejection {
  return 'code' in item;
}

function meanOf(points: readonly ActivityPoint[]): ActivityCounts {
  const sum = zero();
  for (const point of points) {
    sum.stored += point.stored;
    sum.duplicate += point.duplicate;
    sum.rejected += point.rejected;
    sum.message += point.message;
  }
  const mean = (total: number): number => Math.round((total / points.length) * 10) / 10;
  return {
    stored: mean(sum.stored),
    duplicate: mean(sum.duplicate),
    rejected: mean(sum.rejected),
    message: mean(sum.message),
  };
}

function readingForPeople(reading: Reading): LatestReading {
  return {
    meter_id: reading.meter_id,
    kwh_amount: reading.energy / 10_000,
    reading_timestamp: new Date(reading.time).toISOString(),
    received_at: new Date(reading.received_at).toISOString(),
    source: reading.source,
  };
}

function refusedForPeople(rejection: Rejection): RefusedReading {
  const { meter_id, code, reason, topic, received_at } = rejection;
  return { meter_id, code, reason, topic, received_at: new Date(received_at).toISOString() };
}

/** What one way of answering did under the load. */
export interface CacheEntry {
  readonly name: string;
  /** Of all answers, 0 … 1. */
  readonly hitShare: number;
  /** Milliseconds from the moment that a question was due. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly questions: number;
  /** Answered with 503: the database could not keep up. */
  readonly failed: number;
  /** Questions that reached the database. */
  readonly loads: number;
  /** Answers that were older than a write which was committed before they were asked for: where it was written, and elsewhere. */
  readonly oldHere: number;
  readonly oldThere: number;
  /** How long after the commit the last of them was asked for, ms. */
  readonly oldestMs: number;
}

/** Microseconds of a stored reading. */
export interface Cost {
  /** The median of rounds. */
  readonly wall: number;
  /** Of our process and of PostgreSQL with all of its own, of all rounds. */
  readonly cpu: number;
}

export interface TellingCost {
  readonly rounds: number;
  readonly readings: number;
  readonly untold: Cost;
  readonly notified: Cost;
  readonly redis: Cost;
}

export interface CacheReport {
  readonly meters: number;
  readonly rows: number;
  readonly perSecond: number;
  readonly writesPerSecond: number;
  readonly seconds: number;
  readonly entries: readonly CacheEntry[];
  readonly cost: TellingCost;
  /** Cores that other programs kept busy meanwhile. */
  readonly othersCores: number;
}

import type { Latency } from '../prepaid/measured.js';
import type { Neighbours } from '../neighbours.js';

/** Changes that were committed, and what somebody who listens heard of them. */
export interface EventsMeasured {
  readonly step: string;
  readonly committed: number;
  readonly heard: number;
  /** Committed, and nobody ever heard of it. */
  readonly lost: number;
  /** Heard after a later change of the same device, which is then taken for the latest. */
  readonly outOfOrder: number;
  /** Heard more than once. */
  readonly again: number;
  /** Different events heard, by the seconds from the first change to the last one heard. */
  readonly perSecond: number;
  /** From just before the change to the listener. */
  readonly lag: Latency;
  readonly others: Neighbours;
}

export interface EventsEntry {
  readonly name: string;
  readonly about: string;
  readonly paced: EventsMeasured;
  readonly flood: EventsMeasured;
  /** Changes of many devices by SQL, in one transaction. */
  readonly bySql: EventsMeasured;
  /** kill -9 of whoever publishes, in the middle of changes. */
  readonly killed: EventsMeasured;
  /** The broker away for a while, and in the middle of that kill -9 of whoever publishes. */
  readonly away: EventsMeasured;
}

export interface EventsReport {
  readonly devices: number;
  readonly ours: EventsEntry;
  readonly plain: EventsEntry;
}

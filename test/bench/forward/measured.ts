import type { Measured } from '../measure.js';

/** What forwarding costs ingestion, how fast it is, and what everybody loses when NATS goes away. */
export interface ForwardReport {
  readonly meters: number;
  /** The same flood without and with a forwarder, alternately, so that a slow minute of the machine meets both. */
  readonly floods: { readonly without: readonly Measured[]; readonly with: readonly Measured[] };
  readonly entries: readonly ForwardEntry[];
}

export interface ForwardEntry {
  readonly name: string;
  readonly about: string;
  /** Messages per second in the stream, after a flood that left a backlog; null: it keeps none. */
  readonly catchUpPerSecond: number | null;
  readonly paced: ForwardStep;
  /** NATS is killed in the middle and is back some seconds later. */
  readonly away: ForwardStep;
}

export interface ForwardStep {
  readonly rate: number;
  readonly seconds: number;
  /** Acknowledged to their senders. */
  readonly acknowledged: number;
  /** In the stream in the end. */
  readonly stored: number;
  /** Acknowledged and not in the stream. */
  readonly lost: number;
  /** In the stream more than once. */
  readonly doubled: number;
  /** From the end of the load to the last message in the stream. */
  readonly behindSeconds: number;
  readonly cpuSecondsPer100k: number;
  /** Publish to PUBACK, ms. */
  readonly p95: number | null;
}

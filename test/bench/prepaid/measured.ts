import { percentile, type LatencyCounts } from '../load/latency-histogram.js';
import type { Neighbours } from '../neighbours.js';
import type { Difference } from './books.js';

/** ms; null: nothing was measured. */
export interface Latency {
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

export interface CallbacksMeasured {
  readonly step: string;
  readonly callbacks: number;
  /** Answered otherwise than with "accepted", or not at all. */
  readonly refused: number;
  /** Different payments that were answered with "accepted", by the seconds. */
  readonly acceptedPerSecond: number;
  readonly callbacksPerSecond: number;
  /** From the instant a callback was due to its answer. */
  readonly answer: Latency;
  /** From the callback to the command at its meter. */
  readonly toMeter: Latency;
  readonly around: Around;
}

export interface ReportsMeasured {
  readonly step: string;
  readonly acknowledged: number;
  /** Different reports that were written, by the seconds until the last was. */
  readonly appliedPerSecond: number;
  /** From PUBLISH to PUBACK. */
  readonly puback: Latency;
  readonly around: Around;
}

export interface Around extends Neighbours {
  /** Cores that the contestant kept busy, broker and database included. */
  readonly ownCores: number;
  /** Of the bench's own process: what it sends and hears for everybody. */
  readonly benchCpuShare: number;
}

export interface PrepaidEntry {
  readonly name: string;
  readonly about: string;
  readonly paced: CallbacksMeasured;
  readonly flood: CallbacksMeasured;
  readonly reports: ReportsMeasured;
  /** Ours: from just before a payment's commit to the command at the meter. */
  readonly commitToMeter: (Latency & { readonly around: Around }) | null;
  readonly books: Difference;
}

export interface Prepaid {
  readonly meters: number;
  readonly ours: PrepaidEntry;
  readonly plain: PrepaidEntry;
}

export function latencyOf(counts: LatencyCounts): Latency {
  return { p50: percentile(counts, 0.5), p95: percentile(counts, 0.95), p99: percentile(counts, 0.99) };
}

export function describeCallbacks(measured: CallbacksMeasured): string {
  const { step, acceptedPerSecond, callbacksPerSecond, refused, answer, toMeter, around } = measured;
  return (
    `${step}: ${Math.round(acceptedPerSecond)} payments/s accepted of ${Math.round(callbacksPerSecond)} callbacks/s, ` +
    `${refused} refused, answer ${describe(answer)}, to the meter ${describe(toMeter)}; ${describeAround(around)}`
  );
}

export function describeReports({ step, appliedPerSecond, puback, around }: ReportsMeasured): string {
  return `${step}: ${Math.round(appliedPerSecond)}/s applied, PUBACK ${describe(puback)}; ${describeAround(around)}`;
}

export function describe({ p50, p95, p99 }: Latency): string {
  return `p50/p95/p99 ${[p50, p95, p99].map((ms) => ms?.toFixed(1) ?? '–').join(' / ')} ms`;
}

export function describeAround({ cores, ownCores, runQueue, benchCpuShare }: Around): string {
  return `it used ${ownCores.toFixed(2)} cores, others used ${cores.toFixed(1)} cores, run queue ${runQueue.toFixed(1)}, bench ${Math.round(benchCpuShare * 100)} %`;
}

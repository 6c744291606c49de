/** Counts of latencies in buckets that each are 2 % wide, from 10 µs to about 15 minutes: 1,000 numbers, whatever the load. */
export type LatencyCounts = readonly number[];

const bucketsCount = 1_000;
const smallestMs = 0.01;
const growth = Math.log(1.02);

export function emptyLatencies(): Float64Array {
  return new Float64Array(bucketsCount);
}

export function addLatency(counts: Float64Array, ms: number): void {
  const bucket =
    ms <= smallestMs ? 0 : Math.min(bucketsCount - 1, Math.ceil(Math.log(ms / smallestMs) / growth));
  counts[bucket] = (counts[bucket] ?? 0) + 1;
}

/** The latency in ms that `share` (0 … 1) of all stayed under, at most 2 % too high; null without any. */
export function percentile(counts: LatencyCounts, share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let seen = 0;
  const bucket = counts.findIndex((count) => (seen += count) >= share * total);
  return smallestMs * Math.exp(growth * bucket);
}

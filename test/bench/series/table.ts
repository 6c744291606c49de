import type { SeriesReport } from './measured.js';

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');

/** A line for each question and table: ours, the plain group by, and how many times its p95 ours is. */
export function seriesTable({ entries }: SeriesReport): string[][] {
  const head = ['', 'rows', 'p50, ms', 'p95, ms', 'plain p50', 'plain p95', 'ours ÷ it'];
  const body = entries.flatMap(({ rows, compared }) =>
    compared.map(({ question, ours, plain }) => [
      question,
      whole(rows),
      ...[ours.p50, ours.p95, plain.p50, plain.p95].map((ms) => ms.toFixed(1)),
      `${(ours.p95 / plain.p95).toFixed(2)} ×`,
    ]),
  );
  return [head, ...body];
}

export function seriesNotes({ days, entries }: SeriesReport): string[] {
  return [
    `Statistics of ${days} days beside a plain group by over the same partitions; both answer the same, or the bench fails.`,
    ...entries.map(
      ({ rows, meters, tableMiB, writtenMiB, sealedRowsPerSecond, freshMicroseconds, lateMicroseconds }) =>
        `${whole(rows)} rows, ${whole(meters)} meters, ${whole(tableMiB)} MiB and ${whole(writtenMiB)} MiB of statistics, ` +
        `written down at ${whole(sealedRowsPerSecond)} readings/s. Storing one of today costs ${freshMicroseconds.toFixed(1)} µs, ` +
        `one that is 20 days late ${lateMicroseconds.toFixed(1)} µs.`,
    ),
  ];
}

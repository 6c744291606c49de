import type { SeriesReport } from './measured.js';

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');

/** Two lines for each question and table, cold and warm: ours, the plain server, and how many times its p95 ours is. */
export function seriesTable({ entries }: SeriesReport): string[][] {
  const head = [
    '',
    'rows',
    'p50, ms',
    'p95',
    'most',
    'CPU',
    'plain p50',
    'p95',
    'most',
    'CPU',
    'p95 ours ÷ it',
  ];
  const body = entries.flatMap(({ rows, compared, fleet }) => [
    ...compared.flatMap(({ question, asked, ours, plain }) =>
      (['cold', 'warm'] as const).map((how) => {
        const [mine, its] = [ours[how], plain[how]];
        const [cpu, itsCpu] = how === 'warm' ? [ours.cpuMs, plain.cpuMs] : [null, null];
        const times = [mine.p50, mine.p95, mine.most, cpu, its.p50, its.p95, its.most, itsCpu];
        return [`${question}, ${how} (${asked})`, whole(rows)].concat(
          times.map((ms) => ms?.toFixed(1) ?? ''),
          `${(mine.p95 / its.p95).toFixed(2)} ×`,
        );
      }),
    ),
    [
      '30 days of all meters by day, in SQL, the best',
      whole(rows),
      fleet.ours.toFixed(1),
      '',
      '',
      '',
      fleet.plain.toFixed(1),
      '',
      '',
      '',
      `${(fleet.ours / fleet.plain).toFixed(2)} ×`,
    ],
  ]);
  return [head, ...body];
}

export function seriesNotes({ days, entries }: SeriesReport): string[] {
  return [
    `Readings of ${days} days a quarter of an hour apart, 20 meters with hourly ones back to a year. One call at a time over HTTP;`,
    'cold: the first time after PostgreSQL and the kernel forgot everything, of so many different meters; warm: the same again.',
    'CPU: of a warm call, ms, PostgreSQL included. plain: node:http, pg and a group by of the readings. Both answer the same, or the bench fails.',
    ...entries.map(
      ({ rows, meters, fillSeconds, tableMiB, writtenMiB, sealedRowsPerSecond, late, othersCores }) =>
        `${whole(rows)} rows, ${whole(meters)} meters, ${whole(tableMiB)} MiB and ${whole(writtenMiB)} MiB of statistics, ` +
        `filled in ${whole(fillSeconds)} s, written down at ${whole(sealedRowsPerSecond)} readings/s. Storing one of today costs ` +
        `${late.freshMicroseconds.toFixed(1)} µs, one that is 20 days late ${late.lateMicroseconds.toFixed(1)} µs; what ` +
        `${whole(late.readings)} late ones changed is written down anew in ${whole(late.upkeepMs)} ms (a materialized view of all: ` +
        `${whole(late.refreshMs)} ms). Other programs used ${othersCores.toFixed(1)} cores.`,
    ),
  ];
}

import type { CacheReport, Cost } from './measured.js';

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const ms = (value: number | null): string => (value === null ? '–' : value.toFixed(1));

export function cacheTable({ entries, seconds }: CacheReport): string[][] {
  const head = [
    '',
    'hits',
    'p50, ms',
    'p95',
    'p99',
    'database/s',
    'old answers',
    'where written',
    'oldest, ms',
  ];
  const body = entries.map(
    ({ name, hitShare, p50, p95, p99, failed, loads, oldHere, oldThere, oldestMs }) => [
      name,
      `${(100 * hitShare).toFixed(1)} %`,
      ms(p50),
      ms(p95),
      ms(p99),
      whole(failed),
      whole(loads / seconds),
      whole(oldHere + oldThere),
      whole(oldHere),
      oldHere + oldThere === 0 ? '–' : whole(oldestMs),
    ],
  );
  return [head, ...body];
}

export function cacheNotes(report: CacheReport): string[] {
  const { meters, rows, perSecond, writesPerSecond, seconds, cost, othersCores } = report;
  const shown = ({ wall, cpu }: Cost): string => `${wall.toFixed(1)} µs (${cpu.toFixed(1)} of CPU)`;
  return [
    `${whole(perSecond)} questions/s for ${seconds} s after as long a warm-up, about ${whole(meters)} meters (Zipf, s = 1), by turns at two`,
    `instances; four of five for the latest reading, the others for the first page. ${writesPerSecond} readings/s of all meters alike at`,
    `the first one; ${whole(rows)} readings stored before. Old: without a reading that was committed before the question was put.`,
    `Storing a reading, ${cost.rounds} rounds of ${whole(cost.readings)}, PostgreSQL included: ${shown(cost.untold)} told to nobody, ` +
      `${shown(cost.notified)} told by NOTIFY, ${shown(cost.redis)} told to Redis.`,
    `Other programs used ${othersCores.toFixed(1)} cores.`,
  ];
}

import { kinds } from './plan.js';
import type { ApiEntry, ApiReport } from './measured.js';

type Row = readonly [
  label: string,
  value: (entry: ApiEntry) => number | null,
  decimals: number,
  ratio?: 'ratio',
];

const rows: readonly Row[] = [
  ['all calls p50, ms', ({ latency }) => latency.p50, 1, 'ratio'],
  ['… p95', ({ latency }) => latency.p95, 1, 'ratio'],
  ['… p99', ({ latency }) => latency.p99, 1, 'ratio'],
  ...kinds.map((kind): Row => [`${kind} p95`, ({ byKind }) => byKind[kind].p95, 1, 'ratio']),
  ['CPU of a call, ms: its own', ({ cpu }) => cpu.own, 2, 'ratio'],
  ['… the database', ({ cpu }) => cpu.database, 2, 'ratio'],
  ['memory of it, MiB', ({ memoryMiB }) => memoryMiB, 0, 'ratio'],
  ['calls refused or without an answer', ({ refused }) => sum(Object.values(refused)), 0],
  ['readings stored', ({ stored }) => stored, 0],
  ['… and lost, or wrong', ({ lost, wrong }) => lost + wrong, 0],
  ['cores of other programs meanwhile', ({ around }) => around.cores, 2],
  ['run queue meanwhile', ({ around }) => around.runQueue, 1],
  ["the bench's own lateness p99, ms", ({ lateness }) => lateness, 1],
];

/** Ours, each peer, and how many times the peer's number ours is. */
export function apiTable({ entries }: ApiReport): string[][] {
  const [ours, ...peers] = entries;
  if (ours === undefined) return [];
  const head = ['', ours.name, ...peers.flatMap(({ name }) => [name, 'ours ÷ it'])];
  const body = rows.map(([label, value, decimals, ratio]) => {
    const mine = value(ours);
    const others = peers.flatMap((peer) => {
      const its = value(peer);
      const share = ratio && mine !== null && its !== null ? `${(mine / its).toFixed(2)} ×` : '';
      return [figure(its, decimals), share];
    });
    return [label, figure(mine, decimals)].concat(others);
  });
  return [head, ...body];
}

export function apiNotes({ perSecond, meters, rows: count, entries }: ApiReport): string[] {
  return [
    `${perSecond} calls/s by chance, an open loop, each from when it was due; ${figure(meters, 0)} meters, ${figure(count, 0)} readings.`,
    ...entries.map(({ name, about }) => `${name}: ${about}.`),
    ...entries.flatMap(({ name, refused }) =>
      Object.entries(refused).map(([what, times]) => `${name} refused: ${what}, ${times} times.`),
    ),
  ];
}

/** '' when all is right: nothing that was answered with 201 is missing, double or other than sent. */
export function apiFaultsOf({ entries }: ApiReport): string {
  const [ours] = entries;
  if (ours === undefined || ours.lost + ours.wrong === 0) return '';
  return `${ours.lost} readings answered with 201 are missing, ${ours.wrong} are other than sent`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}

function figure(value: number | null, decimals: number): string {
  if (value === null) return '–';
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

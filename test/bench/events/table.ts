import type { EventsEntry, EventsReport } from './measured.js';

type Row = readonly [
  label: string,
  value: (entry: EventsEntry) => number | null,
  decimals: number,
  ratio?: 'ratio',
];

const rows: readonly Row[] = [
  ['events/s, 20 changes at once', ({ flood }) => flood.perSecond, 0, 'ratio'],
  ['events/s, changes by SQL', ({ bySql }) => (bySql.heard === 0 ? null : bySql.perSecond), 0, 'ratio'],
  ['change to listener at 200/s, p50, ms', ({ paced }) => paced.lag.p50, 1, 'ratio'],
  ['… p95', ({ paced }) => paced.lag.p95, 1, 'ratio'],
  ['… p99', ({ paced }) => paced.lag.p99, 1, 'ratio'],
  ['events out of order in the flood', ({ flood }) => flood.outOfOrder, 0],
  ['changes never told: flood', ({ flood }) => flood.lost, 0],
  ['… made by SQL', ({ bySql }) => bySql.lost, 0],
  ['… kill -9 in a flood', ({ killed }) => killed.lost, 0],
  ['… broker away, and kill -9 meanwhile', ({ away }) => away.lost, 0],
];

/** Ours, the peer, and how many times the peer's number ours is. */
export function eventsTable({ ours, plain }: EventsReport): string[][] {
  const body = rows.map(([label, value, decimals, ratio]) => {
    const mine = value(ours);
    const its = value(plain);
    const share = ratio !== undefined && mine !== null && its !== null ? `${(mine / its).toFixed(2)} ×` : '';
    return [label, figure(mine, decimals), figure(its, decimals), share];
  });
  return [['', ours.name, plain.name, 'ours ÷ it'], ...body];
}

export function eventsNotes({ devices, ours, plain }: EventsReport): string[] {
  return [
    `Changes of ${devices} devices by a program of its own, told on Mosquitto to one listener.`,
    `${ours.name}: ${ours.about}.`,
    `${plain.name}: ${plain.about}.`,
  ];
}

function figure(value: number | null, decimals: number): string {
  if (value === null) return '–';
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

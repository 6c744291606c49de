import type { ForwardEntry, ForwardReport } from './measured.js';

type Row = readonly [label: string, value: (entry: ForwardEntry) => number | null, decimals: number];

const rows: readonly Row[] = [
  ['messages/s into JetStream, catching up', ({ catchUpPerSecond }) => catchUpPerSecond, 0],
  ['at 5,000/s: acknowledged and not in the stream', ({ paced }) => paced.lost, 0],
  ['… in the stream twice', ({ paced }) => paced.doubled, 0],
  ['… all there so long after the last, s', ({ paced }) => paced.behindSeconds, 1],
  ['… publish to PUBACK p95, ms', ({ paced }) => paced.p95, 1],
  ['… CPU seconds per 100,000', ({ paced }) => paced.cpuSecondsPer100k, 1],
  ['NATS killed: acknowledged and not in the stream', ({ away }) => away.lost, 0],
  ['… in the stream twice', ({ away }) => away.doubled, 0],
  ['… all there so long after the last, s', ({ away }) => away.behindSeconds, 1],
];

/** A column per way from MQTT to JetStream. */
export function forwardTable({ entries }: ForwardReport): string[][] {
  const body = rows.map(([label, value, decimals]) =>
    [label].concat(entries.map((entry) => figure(value(entry), decimals))),
  );
  return [['', ...entries.map(({ name }) => name)], ...body];
}

export function forwardNotes({ meters, floods, entries }: ForwardReport): string[] {
  const rate = (steps: readonly { readonly committedPerSecond: number }[]): string =>
    steps.map(({ committedPerSecond }) => figure(committedPerSecond, 0)).join(', ');
  return [
    `${meters} meters. Flood without forwarding: ${rate(floods.without)} committed/s; with it: ${rate(floods.with)}.`,
    ...entries.map(({ name, about }) => `${name}: ${about}`),
    'Ours commits each message before its PUBACK, refuses what breaks a rule and removes doubles; the bridges do none of it,',
    'and what waits in Mosquitto’s queue is in memory. CPU includes broker and database, not nats-server and the generator.',
  ];
}

/** By how much a flood is slower with a forwarder: the best of each, since other programs only take away. */
export function slowdownOf({ floods }: ForwardReport): number {
  const best = (steps: readonly { readonly committedPerSecond: number }[]): number =>
    Math.max(...steps.map(({ committedPerSecond }) => committedPerSecond));
  return 1 - best(floods.with) / best(floods.without);
}

/** Ours that JetStream never got; '' when none. */
export function unforwardedOf({ entries }: ForwardReport): string {
  const [ours] = entries;
  const lost = (ours?.paced.lost ?? 0) + (ours?.away.lost ?? 0);
  return lost === 0 ? '' : `${lost} acknowledged messages are not in JetStream`;
}

function figure(value: number | null, decimals: number): string {
  if (value === null) return '–';
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

import type { LiveReport, LiveStep, RelayStep } from './measured.js';

const figure = (value: number | null, decimals: number): string =>
  value === null
    ? '–'
    : value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

type Row<Step> = readonly [
  label: string,
  value: (step: Step) => number | null,
  decimals: number,
  ratio?: 'ratio',
];

const rows: readonly Row<LiveStep>[] = [
  ['event to last listener p50, ms', ({ p50 }) => p50, 1, 'ratio'],
  ['… p95', ({ p95 }) => p95, 1, 'ratio'],
  ['… p99', ({ p99 }) => p99, 1, 'ratio'],
  ['messages that never came', ({ missed }) => missed, 0],
  ['… that came twice', ({ loss }) => loss.doubled, 0],
  ["cores of Node-RED's process", ({ cores }) => cores, 2, 'ratio'],
  ['its memory, MiB', ({ memoryMiB }) => memoryMiB, 0],
];

const relayRows: readonly Row<RelayStep>[] = [
  ['arrived/s', ({ arrivedPerSecond }) => arrivedPerSecond, 0],
  ['event to last listener p50, ms', ({ p50 }) => p50, 1],
  ['… p95', ({ p95 }) => p95, 1],
  ['messages that never came', ({ missed }) => missed, 0],
  ['… of which the listener was told', ({ loss }) => loss.told, 0],
  ['… that came twice', ({ loss }) => loss.doubled, 0],
  ['cores of the gateway that tells', ({ cores: [telling] }) => telling, 2],
  ['… that hears', ({ cores: [, hearing] }) => hearing, 2],
  ['memory of the one that tells, MiB', ({ memoryMiB: [telling] }) => telling, 0],
  ['… that hears', ({ memoryMiB: [, hearing] }) => hearing, 0],
];

/** Ours, the stock node, and how many times its number ours is; then what only ours does. */
export function liveTable({ ours, stock, relay, kbPerListener }: LiveReport): string[][] {
  const head = ['', ours.name, stock.name, 'ours ÷ it'];
  const body = ours.steps.flatMap((mine, index) => {
    const its = stock.steps[index];
    if (its === undefined) return [];
    return rows.map(([label, value, decimals, ratio], row) => {
      const [one, other] = [value(mine), value(its)];
      const share = ratio && one !== null && other !== null ? `${(one / other).toPrecision(2)} ×` : '';
      return [
        row === 0 ? loadOf(mine) + label : label,
        figure(one, decimals),
        figure(other, decimals),
        share,
      ];
    });
  });
  const relayed = relay.flatMap((step) =>
    relayRows.map(([label, value, decimals], row) => [
      row === 0 ? `through Redis, ${loadOf(step)}${label}` : label,
      figure(value(step), decimals),
      '–',
      '',
    ]),
  );
  const idle = ['memory of a listener, kB', figure(kbPerListener, 1), '–', ''];
  return [head, ...body, idle, ...relayed];
}

export function liveNotes({ ours, stock, othersCores }: LiveReport): string[] {
  return [
    'Both in one Node-RED, the same events by TCP; ours parses and understands each, the stock node passes it on as text.',
    'Through Redis: two gateways, each a process of its own. Other programs used ' +
      `${othersCores.toFixed(1)} cores.`,
    ...[ours, stock].flatMap(({ name, steps }) =>
      steps.flatMap(({ loss: { dropped } }) =>
        Object.entries(dropped).map(([reason, count]) => `${name} sent ${count} listeners away: ${reason}.`),
      ),
    ),
  ];
}

/** '' when nobody was told anything twice, and whoever stayed and missed something was told so. */
export function liveFaultsOf({ ours, relay }: LiveReport): string {
  const steps = [
    ...ours.steps.map((step) => ({ name: loadOf(step), loss: step.loss })),
    ...relay.map((step) => ({ name: `through Redis, ${loadOf(step)}`, loss: step.loss })),
  ];
  return steps
    .filter(({ loss }) => loss.doubled + loss.silent > 0)
    .map(
      ({ name, loss }) => `${name}${loss.doubled} events came twice, ${loss.silent} never and nobody said so`,
    )
    .join('; ');
}

function loadOf({ listeners, eventsPerSecond }: { listeners: number; eventsPerSecond: number }): string {
  return `${figure(listeners, 0)} listener${listeners === 1 ? '' : 's'}, ${figure(eventsPerSecond, 0)} events/s: `;
}

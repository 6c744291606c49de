import type { LiveReport, LiveStep } from './measured.js';

const figure = (value: number | null, decimals: number): string =>
  value === null
    ? '–'
    : value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

const rows: readonly (readonly [
  label: string,
  value: (step: LiveStep) => number | null,
  decimals: number,
])[] = [
  ['event to last listener p50, ms', ({ p50 }) => p50, 1],
  ['… p95', ({ p95 }) => p95, 1],
  ['… p99', ({ p99 }) => p99, 1],
  ['messages that never came', ({ missed }) => missed, 0],
  ["cores of Node-RED's process", ({ cores }) => cores, 2],
];

/** Ours, the stock node, and how many times its number ours is. */
export function liveTable({ ours, stock }: LiveReport): string[][] {
  const head = ['', ours.name, stock.name, 'ours ÷ it'];
  const body = ours.steps.flatMap((mine, index) => {
    const its = stock.steps[index];
    if (its === undefined) return [];
    return rows.map(([label, value, decimals], row) => {
      const [one, other] = [value(mine), value(its)];
      const ratio = one === null || other === null || other === 0 ? '' : `${(one / other).toFixed(2)} ×`;
      const load = `${mine.listeners} listeners, ${figure(mine.eventsPerSecond, 0)} events/s: `;
      return [row === 0 ? load + label : label, figure(one, decimals), figure(other, decimals), ratio];
    });
  });
  return [head, ...body];
}

export function liveNotes({ relay }: LiveReport): string[] {
  return [
    'Both in one Node-RED, the same events by TCP; ours parses and understands each, the stock node passes it on as text.',
    ...relay.map(
      ({ eventsPerSecond, arrivedPerSecond, missed, p50, p95 }) =>
        `Through Redis to a listener of another process at ${figure(eventsPerSecond, 0)} events/s: ` +
        `${figure(arrivedPerSecond, 0)}/s arrived, ${missed} missed, p50 ${figure(p50, 1)} ms, p95 ${figure(p95, 1)} ms.`,
    ),
  ];
}

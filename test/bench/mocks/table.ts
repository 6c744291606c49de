import type { MockCrowd, MocksReport } from './measured.js';

type Row = readonly [label: string, value: (crowd: MockCrowd) => number, decimals: number];

const rows: readonly Row[] = [
  ['online after, s', ({ onlineSeconds }) => onlineSeconds, 1],
  ['memory of the process, MiB', ({ memoryMiB }) => memoryMiB, 0],
  ['CPU, % of a core', ({ cpuShare }) => 100 * cpuShare, 1],
  ['telemetry/s at the broker', ({ telemetryPerSecond }) => telemetryPerSecond, 0],
];

/** A column for each process, ours beside its peer. */
export function mocksTable({ ours, peers }: MocksReport): string[][] {
  const pairs = ours.map((mine, index) => ({
    mine,
    its: peers.find(({ mocks }) => mocks === ours[index]?.mocks),
  }));
  const head = pairs.flatMap(({ mine, its }) => [
    `${whole(mine.mocks)}, ${mine.name}`,
    `${whole(its?.mocks ?? 0)}, ${its?.name ?? '–'}`,
    'ours ÷ it',
  ]);
  const body = rows.map(([label, value, decimals]) =>
    [label].concat(
      pairs.flatMap(({ mine, its }) => {
        const [a, b] = [value(mine), its === undefined ? Number.NaN : value(its)];
        return [a.toFixed(decimals), b.toFixed(decimals), `${(a / b).toFixed(2)} ×`];
      }),
    ),
  );
  return [['mocks in one process', ...head], ...body];
}

export const mocksNotes = [
  'Mocks: the process that plays them alone; broker and database are others. Telemetry every 5 s. Ours follow the registry and the',
  'events, draw by type, and go on where they were after a kill; the script draws by chance, begins at 0 and follows nothing.',
];

function whole(count: number): string {
  return count.toLocaleString('en-US');
}

import { wrongOf } from './judge.js';
import type { InjectionsEntry, InjectionsMeasured, InjectionsReport } from './measured.js';

type Row = readonly [
  label: string,
  value: (entry: InjectionsEntry) => number | null | undefined,
  decimals: number,
  ratio?: 'ratio',
];

const levelRows: readonly Row[] = [0, 1, 2].flatMap((level): Row[] => {
  const of = ({ levels }: InjectionsEntry): InjectionsMeasured | undefined => levels[level];
  const waiting = ['1 waits', '100 wait', 'about 1,000 wait'][level];
  return [
    [`overhead while ${waiting}, p50, ms`, (entry) => of(entry)?.overhead.p50, 1, 'ratio'],
    ['… p95', (entry) => of(entry)?.overhead.p95, 1, 'ratio'],
    ['… wrong answers', (entry) => wrong(of(entry)), 0],
  ];
});

const rows: readonly Row[] = [
  ...levelRows,
  ['injections/s, flood', ({ flood }) => flood.appliedPerSecond, 0, 'ratio'],
  ['… cores in use', ({ flood }) => flood.around.ownCores, 2, 'ratio'],
  ['… wrong answers', ({ flood }) => wrong(flood), 0],
  ['memory of one that waits, kB', ({ kbPerWaiting }) => kbPerWaiting, 1, 'ratio'],
  ['by chance: injections', ({ random }) => random.calls, 0],
  ['… overhead p50, ms', ({ random }) => random.overhead.p50, 1, 'ratio'],
  ["… told another token's units", ({ random }) => random.verdicts.crossed, 0],
  ['… told of a success that was none', ({ random }) => random.verdicts.falseSuccess, 0],
  ['… told of a refusal that was none', ({ random }) => random.verdicts.falseRefusal, 0],
  ["… meter's answer lost", ({ random }) => random.verdicts.lost, 0],
  ['… not told, as it may be to another token', ({ random }) => random.verdicts.withheld, 0],
  ['… never answered', ({ random }) => random.verdicts.hanging, 0],
  ['… refused as too many wait', ({ random }) => random.verdicts.busy, 0],
  ['… token handed over again', ({ random }) => random.repeats, 0],
];

export function injectionsTable({ ours, peers }: InjectionsReport): string[][] {
  const head = ['', ours.name, ...peers.flatMap(({ name }) => [name, 'ours ÷ it'])];
  const body = rows.map((row) => lineOf(row, ours, peers));
  return [head, ...body];
}

function lineOf(
  [label, value, decimals, ratio]: Row,
  ours: InjectionsEntry,
  peers: readonly InjectionsEntry[],
): string[] {
  const mine = value(ours) ?? null;
  const others = peers.flatMap((peer) => {
    const its = value(peer) ?? null;
    const share = ratio !== undefined && mine !== null && its !== null ? `${(mine / its).toFixed(2)} ×` : '';
    return [figure(its, decimals), share];
  });
  return [label, figure(mine, decimals), ...others];
}

export function injectionsNotes({ meters, ours, peers }: InjectionsReport): string[] {
  const { audit } = ours;
  const entries = [ours, ...peers];
  return [
    `${meters} meters, a connection each; overhead is what the caller waited beyond the meter's own time. By chance: answers`,
    'before the 202, twice, late, never, refusals of meter and vendor, two tokens of one meter and one token twice at once.',
    ...(audit === null
      ? []
      : [
          `${ours.name}: of ${audit.booked} tokens that meters booked, records miss ${audit.missing}, ${audit.untrue} are untrue, ` +
            `${audit.twice} twice; ${audit.open} answers may be to several tokens and are told of none.`,
        ]),
    ...entries.map(({ name, about }) => `${name}: ${about}`),
    ...entries.map((entry) => `${entry.name}: other programs meanwhile: ${around(entry)}`),
  ];
}

function wrong(measured: InjectionsMeasured | undefined): number | null {
  return measured === undefined ? null : wrongOf(measured.verdicts);
}

function around({ levels, flood, random }: InjectionsEntry): string {
  return [...levels, flood, random]
    .map(
      ({ step, around: { cores, runQueue } }) =>
        `${step} ${cores.toFixed(1)} cores, run queue ${runQueue.toFixed(1)}`,
    )
    .join('; ');
}

function figure(value: number | null, decimals: number): string {
  if (value === null) return '–';
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

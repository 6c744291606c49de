import type { Around, Prepaid, PrepaidEntry } from './measured.js';

type Row = readonly [
  label: string,
  value: (entry: PrepaidEntry) => number | null,
  decimals: number,
  ratio?: 'ratio',
];

const money = (tenThousandths: number): number => tenThousandths / 10_000;

const rows: readonly Row[] = [
  ['payments/s accepted, flood of callbacks', ({ flood }) => flood.acceptedPerSecond, 0, 'ratio'],
  ['callbacks/s accepted, repeats included', ({ flood }) => flood.callbacksPerSecond, 0, 'ratio'],
  ['callback to answer at 200/s, p50, ms', ({ paced }) => paced.answer.p50, 1, 'ratio'],
  ['… p95', ({ paced }) => paced.answer.p95, 1, 'ratio'],
  ['… p99', ({ paced }) => paced.answer.p99, 1, 'ratio'],
  ['… cores in use', ({ paced }) => paced.around.ownCores, 2, 'ratio'],
  ['callback to command at the meter, p50, ms', ({ paced }) => paced.toMeter.p50, 1, 'ratio'],
  ['… p95', ({ paced }) => paced.toMeter.p95, 1, 'ratio'],
  ['commit to command at the meter, p50, ms', ({ commitToMeter }) => commitToMeter?.p50 ?? null, 1],
  ['… p95', ({ commitToMeter }) => commitToMeter?.p95 ?? null, 1],
  ['reports/s applied', ({ reports }) => reports.appliedPerSecond, 0, 'ratio'],
  ['report to PUBACK in it, p95, ms', ({ reports }) => reports.puback.p95, 1],
  ['meters whose balance is wrong in the end', ({ books }) => books.metersWrong, 0],
  ['units credited twice', ({ books }) => money(books.paidTwice), 1],
  ['units deducted twice', ({ books }) => money(books.usedTwice), 1],
  ['units accepted and not written', ({ books }) => money(books.paidMissing + books.usedMissing), 1],
  ['units written and overwritten: meter has less', ({ books }) => money(books.overwrittenLess), 1],
  ['… more', ({ books }) => money(books.overwrittenMore), 1],
];

/** Ours, the peer, and how many times the peer's number ours is. */
export function prepaidTable({ ours, plain }: Prepaid): string[][] {
  const body = rows.map(([label, value, decimals, ratio]) => {
    const mine = value(ours);
    const its = value(plain);
    const share = ratio !== undefined && mine !== null && its !== null ? `${(mine / its).toFixed(2)} ×` : '';
    return [label, figure(mine, decimals), figure(its, decimals), share];
  });
  return [['', ours.name, plain.name, 'ours ÷ it'], ...body];
}

export function prepaidNotes({ meters, ours, plain }: Prepaid): string[] {
  return [
    `${meters} prepaid meters, each with a connection that reports and one that listens; three of ten payments are told of`,
    'twice (at once, later, through the other channel), every tenth report comes twice, two customers pay at the same time.',
    `${plain.name}: ${plain.about}. It acknowledges reports before it writes them.`,
    ...[ours, plain].map((entry) => `${entry.name}: other programs meanwhile: ${around(entry)}`),
  ];
}

function around({ paced, flood, reports, commitToMeter }: PrepaidEntry): string {
  const steps: [string, Around][] = [
    ['at 200/s', paced.around],
    ['flood of callbacks', flood.around],
    ['reports', reports.around],
    ...(commitToMeter === null ? [] : [['commit to meter', commitToMeter.around] as [string, Around]]),
  ];
  return steps
    .map(
      ([name, { cores, runQueue }]) => `${name} ${cores.toFixed(1)} cores, run queue ${runQueue.toFixed(1)}`,
    )
    .join('; ');
}

function figure(value: number | null, decimals: number): string {
  if (value === null) return '–';
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

import { cpus, totalmem } from 'node:os';
import type { ApiReport } from './api/measured.js';
import { apiNotes, apiTable } from './api/table.js';
import type { CacheReport } from './cache/measured.js';
import { cacheNotes, cacheTable } from './cache/table.js';
import type { Entry } from './contest.js';
import type { Crowd } from './crowd.js';
import type { Ed25519Speed } from './ed25519.js';
import { eventsNotes, eventsTable } from './events/table.js';
import type { EventsReport } from './events/measured.js';
import type { ForwardReport } from './forward/measured.js';
import { forwardNotes, forwardTable } from './forward/table.js';
import { goalLines, goalsOf } from './goals.js';
import type { Growth } from './growth.js';
import { fixedRate, type Measured } from './measure.js';
import { injectionsNotes, injectionsTable } from './injections/table.js';
import type { InjectionsReport } from './injections/measured.js';
import type { MocksReport } from './mocks/measured.js';
import { mocksNotes, mocksTable } from './mocks/table.js';
import type { LiveReport } from './live/measured.js';
import { liveNotes, liveTable } from './live/table.js';
import { prepaidNotes, prepaidTable } from './prepaid/table.js';
import type { Prepaid } from './prepaid/measured.js';
import { seriesNotes, seriesTable } from './series/table.js';
import type { SeriesReport } from './series/measured.js';
import type { StartMemory } from './start-memory.js';

export interface Report {
  readonly at: string;
  readonly machine: string;
  readonly mode: 'full' | 'quick';
  readonly meters: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly start: StartMemory | null;
  readonly entries: readonly Entry[];
  readonly crowd: Crowd | null;
  readonly growth: Growth | null;
  readonly ed25519: Ed25519Speed | null;
  readonly prepaid: Prepaid | null;
  readonly injections: InjectionsReport | null;
  readonly series: SeriesReport | null;
  readonly events: EventsReport | null;
  readonly forward: ForwardReport | null;
  readonly mocks: MocksReport | null;
  readonly live: LiveReport | null;
  readonly api: ApiReport | null;
  readonly cache: CacheReport | null;
}

type Row = readonly [
  label: string,
  value: (entry: Entry) => number | null,
  format: (value: number) => string,
  ratio: boolean,
];

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const tenth = (value: number): string => value.toFixed(1);
const at = `at ${fixedRate.toLocaleString('en-US')}/s`;

const rows: readonly Row[] = [
  ['readings/s committed, loss-free', (entry) => entry.lossFreePerSecond, whole, true],
  ['readings/s committed under flood', (entry) => entry.max.committedPerSecond, whole, true],
  ['acknowledged readings lost under flood', (entry) => entry.max.lost, whole, false],
  [`acknowledged readings lost ${at}`, (entry) => entry.fixed.lost, whole, false],
  [`acknowledged readings lost by kill -9 ${at}`, (entry) => entry.crash.lost, whole, false],
  [`readings/s committed ${at}`, (entry) => entry.fixed.committedPerSecond, whole, true],
  [`publish to PUBACK p50 ${at}, ms`, (entry) => entry.fixed.p50, tenth, true],
  [`publish to PUBACK p95 ${at}, ms`, (entry) => entry.fixed.p95, tenth, true],
  [`publish to PUBACK p99 ${at}, ms`, (entry) => entry.fixed.p99, tenth, true],
  [`CPU seconds per 100,000 ${at}`, (entry) => entry.fixed.cpuSecondsPer100k, tenth, true],
  ['CPU seconds per 100,000 under flood', (entry) => entry.max.cpuSecondsPer100k, tenth, true],
  [`peak memory ${at}, MiB`, (entry) => entry.fixed.peakMiB, whole, true],
  ['peak memory under flood, MiB', (entry) => entry.max.peakMiB, whole, true],
  ['idle memory with the database, MiB', (entry) => entry.idleMiB, whole, true],
];

export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} cores (${cpu?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}

/** The table for people: one column per contestant, and how many times the peer's number ours is. */
export function table(report: Report): string {
  const [first, ...peers] = report.entries;
  const goals = goalLines(goalsOf(report));
  const lines = [
    ...notes(report),
    ...prepaidPart(report),
    ...injectionsPart(report),
    ...seriesPart(report),
    ...eventsPart(report),
    ...forwardPart(report),
    ...mocksPart(report),
    ...livePart(report),
    ...apiPart(report),
    ...cachePart(report),
    ...(goals.length === 0 ? [] : ['', ...goals]),
  ].join('\n');
  if (first === undefined) return lines;
  const head = ['', first.name, ...peers.flatMap((peer) => [peer.name, 'ours ÷ it'])];
  const body = rows.map(([label, value, format, ratio]) => {
    const mine = value(first);
    const show = (number: number | null): string => (number === null ? '–' : format(number));
    const others = peers.flatMap((peer) => [show(value(peer)), ratio ? times(mine, value(peer)) : '']);
    return [label, show(mine)].concat(others);
  });
  return `${aligned([head, ...body])}\n\n${lines}`;
}

function prepaidPart({ prepaid }: Report): string[] {
  return prepaid === null
    ? []
    : ['', ...aligned(prepaidTable(prepaid)).split('\n'), '', ...prepaidNotes(prepaid)];
}

function injectionsPart({ injections }: Report): string[] {
  return injections === null
    ? []
    : ['', ...aligned(injectionsTable(injections)).split('\n'), '', ...injectionsNotes(injections)];
}

function mocksPart({ mocks }: Report): string[] {
  return mocks === null ? [] : ['', ...aligned(mocksTable(mocks)).split('\n'), '', ...mocksNotes];
}

function forwardPart({ forward }: Report): string[] {
  return forward === null
    ? []
    : ['', ...aligned(forwardTable(forward)).split('\n'), '', ...forwardNotes(forward)];
}

function eventsPart({ events }: Report): string[] {
  return events === null ? [] : ['', ...aligned(eventsTable(events)).split('\n'), '', ...eventsNotes(events)];
}

function livePart({ live }: Report): string[] {
  return live === null ? [] : ['', ...aligned(liveTable(live)).split('\n'), '', ...liveNotes(live)];
}

function apiPart({ api }: Report): string[] {
  return api === null ? [] : ['', ...aligned(apiTable(api)).split('\n'), '', ...apiNotes(api)];
}

function cachePart({ cache }: Report): string[] {
  return cache === null ? [] : ['', ...aligned(cacheTable(cache)).split('\n'), '', ...cacheNotes(cache)];
}

function seriesPart({ series }: Report): string[] {
  return series === null ? [] : ['', ...aligned(seriesTable(series)).split('\n'), '', ...seriesNotes(series)];
}

function notes(report: Report): string[] {
  const { start, entries } = report;
  const set = Object.entries(report.settings).map(([name, value]) => `${name}=${value}`);
  const slow = [
    ...entries.map(({ name, fixed, max }) => ({ name, steps: [fixed, max] })),
    ...(report.crowd === null
      ? []
      : [
          {
            name: `${report.crowd.meters} meters`,
            steps: [report.crowd.first, report.crowd.paced, report.crowd.burst, report.crowd.afterReturn],
          },
        ]),
  ].flatMap(({ name, steps }) =>
    steps.filter((step) => broken(step)).map((step) => `${name}, ${step.step}: ${broken(step)}`),
  );
  return [
    ...(start === null
      ? []
      : [
          `npm start, idle: ${whole(start.idleMiB)} MiB for Node-RED, PostgreSQL and six virtual meters; ` +
            `up after ${tenth(start.startSeconds)} s.`,
        ]),
    ...(entries.length === 0
      ? []
      : [
          `${report.meters} meters, one connection each, QoS 1. Ours with ${set.join(', ')}; the rule of spacing is on.`,
          'Ours logs every meter in and acknowledges after the commit; the peers ask for no login, know no rule, get no',
          'signatures (which would cost them bytes and gain them nothing) and acknowledge before they store. ' +
            'Memory counts shared pages once. CPU and memory include broker and database.',
        ]),
    ...entries.map(({ name, about }) => `${name}: ${about}`),
    ...slow,
    report.machine,
  ];
}

/** What makes a step's numbers doubtful. */
function broken({ withheld, signedLate, connectionsLost, generatorCpuShare }: Measured): string {
  return [
    withheld > 0 ? `${withheld} readings could not be sent in time` : '',
    signedLate > 0 ? `${signedLate} readings were signed while the clock ran` : '',
    connectionsLost.length > 0 ? `${connectionsLost.length} connections lost (${connectionsLost[0]})` : '',
    generatorCpuShare > 0.95 ? 'the load generator was at its limit' : '',
  ]
    .filter((text) => text !== '')
    .join(', ');
}

function times(mine: number | null, its: number | null): string {
  if (mine === null || its === null || its === 0) return '–';
  return `${(mine / its).toFixed(2)} ×`;
}

function aligned(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
    )
    .join('\n');
}

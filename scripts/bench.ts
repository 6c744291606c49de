/**
 * npm run bench [-- --quick] [--only NAME]… [--meters N] [--rows N]…: the product beside a stock Node-RED flow and an expert's script,
 * with the same readings, one after the other on this machine. The result is also written to artifacts/bench/.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { measureApi } from '../test/bench/api.js';
import { apiFaultsOf } from '../test/bench/api/table.js';
import { measureCache } from '../test/bench/cache.js';
import { compete, type Entry } from '../test/bench/contest.js';
import { measureCrowd } from '../test/bench/crowd.js';
import { measureEd25519 } from '../test/bench/ed25519.js';
import { measureEvents, untoldOf } from '../test/bench/events.js';
import { measureForward } from '../test/bench/forward.js';
import { unforwardedOf } from '../test/bench/forward/table.js';
import { measureGrowth } from '../test/bench/growth.js';
import { settings, signed, unsigned } from '../test/bench/contestants/ours.js';
import { script } from '../test/bench/contestants/script.js';
import { stock } from '../test/bench/contestants/stock.js';
import { faultsOf, measureInjections } from '../test/bench/injections.js';
import type { Lengths } from '../test/bench/measure.js';
import { measureLive } from '../test/bench/live.js';
import { liveFaultsOf } from '../test/bench/live/table.js';
import { measureMocks } from '../test/bench/mocks.js';
import { measurePrepaid } from '../test/bench/prepaid.js';
import { machine, table, type Report } from '../test/bench/report.js';
import { measureSeries } from '../test/bench/series.js';
import { measureStart } from '../test/bench/start-memory.js';

const full = {
  warmUpSeconds: 5,
  fixedSeconds: 15,
  maxSeconds: 12,
  searchSeconds: 8,
  searchStepsMax: 5,
  crashSeconds: 6,
  crowd: { seconds: 10, batches: 5 },
  growth: { rows: 5_000_000, floodSeconds: 6, sweeps: 15 },
  ed25519Seconds: 5,
  prepaid: { meters: 1_000, seconds: 10 },
  injections: { meters: 2_000, seconds: 12, count: 20_000, memoryRounds: 3 },
  events: { seconds: 10 },
  mocks: { counts: [1_000, 10_000], seconds: 30 },
  live: { seconds: 15 },
  api: { perSecond: 500, seconds: 20, everyMinutes: 15 },
  forward: { meters: 500, seconds: 10, rounds: 3 },
  series: { rows: [1_000_000, 10_000_000], questions: 200 },
  cache: { days: 2, seconds: 20, rounds: 9 },
} satisfies Lengths & Record<string, unknown>;
const quick = {
  warmUpSeconds: 1,
  fixedSeconds: 3,
  maxSeconds: 3,
  searchSeconds: 3,
  searchStepsMax: 2,
  crashSeconds: 3,
  crowd: { seconds: 3, batches: 3 },
  growth: { rows: 500_000, floodSeconds: 3, sweeps: 7 },
  ed25519Seconds: 1,
  prepaid: { meters: 1_000, seconds: 4 },
  injections: { meters: 2_000, seconds: 4, count: 2_000, memoryRounds: 1 },
  events: { seconds: 4 },
  mocks: { counts: [1_000], seconds: 6 },
  live: { seconds: 4 },
  api: { perSecond: 500, seconds: 5, everyMinutes: 60 },
  forward: { meters: 500, seconds: 4, rounds: 1 },
  series: { rows: [1_000_000], questions: 50 },
  cache: { days: 2, seconds: 8, rounds: 5 },
} satisfies Lengths & Record<string, unknown>;
const folder = resolve(__dirname, '../artifacts/bench');

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      meters: { type: 'string', default: '500' },
      rows: { type: 'string', multiple: true },
    },
  });
  const meters = Number(values.meters);
  const lengths = values.quick ? quick : full;
  const wanted = (name: string): boolean => values.only?.some((word) => name.includes(word)) ?? true;

  const start = wanted('start') ? await measureStart() : null;
  const entries: Entry[] = [];
  for (const contestant of [signed, unsigned, stock, script].filter(({ name }) => wanted(name))) {
    say(contestant.name);
    entries.push(await compete(contestant, { meters, lengths, log: (line) => say(`  ${line}`) }));
  }
  const crowd = wanted('crowd') ? await measureCrowd({ ...lengths.crowd, log: heading('crowd') }) : null;
  const growth = wanted('growth') ? await measureGrowth({ ...lengths.growth, log: heading('growth') }) : null;
  const ed25519 = wanted('ed25519') ? await measureEd25519(lengths.ed25519Seconds) : null;
  const prepaid = wanted('prepaid')
    ? await measurePrepaid({ ...lengths.prepaid, log: heading('prepaid') })
    : null;
  const injections = wanted('injections')
    ? await measureInjections({ ...lengths.injections, log: heading('injections') })
    : null;
  const live = wanted('live') ? await measureLive({ ...lengths.live, log: heading('live') }) : null;
  const mocks = wanted('mocks') ? await measureMocks({ ...lengths.mocks, log: heading('mocks') }) : null;
  const events = wanted('events') ? await measureEvents({ ...lengths.events, log: heading('events') }) : null;
  const forward = wanted('forward')
    ? await measureForward({ ...lengths.forward, log: heading('forward') })
    : null;
  const rows = values.rows?.map(rowsOf) ?? lengths.series.rows;
  const series = wanted('series')
    ? await measureSeries({ ...lengths.series, rows, log: heading('series') })
    : null;
  const api = wanted('api') ? await measureApi({ ...lengths.api, log: heading('api') }) : null;
  const cache = wanted('cache') ? await measureCache({ ...lengths.cache, log: heading('cache') }) : null;
  const at = new Date().toISOString();
  const mode = values.quick ? 'quick' : 'full';
  const report: Report = {
    at,
    machine: machine(),
    mode,
    meters,
    settings,
    start,
    entries,
    crowd,
    growth,
    ed25519,
    prepaid,
    injections,
    series,
    mocks,
    live,
    events,
    forward,
    api,
    cache,
  };
  const file = join(folder, `${at.replaceAll(':', '-')}.json`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  say(`\n${table(report)}\n${file}`);
  const mine = entries.filter(({ name }) => name === signed.name || name === unsigned.name);
  const steps = mine.flatMap(({ fixed, max, search, crash }) => search.concat(fixed, max, crash));
  if (crowd !== null) steps.push(crowd.first, crowd.paced, crowd.burst, crowd.afterReturn);
  if (growth !== null) steps.push(growth.gateway.empty, growth.gateway.grown);
  const lost = steps.flatMap(({ lostExamples }) => lostExamples);
  const faults = injections === null ? '' : faultsOf(injections.ours);
  const untold = events === null ? '' : untoldOf(events.ours);
  if (untold !== '')
    throw new Error(`Changes of devices that were never told, or in the wrong order: ${untold}`);
  const unforwarded = forward === null ? '' : unforwardedOf(forward);
  if (unforwarded !== '') throw new Error(`Accepted means forwarded: ${unforwarded}`);
  const liveFaults = live === null ? '' : liveFaultsOf(live);
  if (liveFaults !== '') throw new Error(`Live events, each once: ${liveFaults}`);
  const apiFaults = api === null ? '' : apiFaultsOf(api);
  if (apiFaults !== '') throw new Error(`A 201 means stored, and yet: ${apiFaults}`);
  if (faults !== '') throw new Error(`Somebody was told what is not true:\n${faults}`);
  if (lost.length > 0) throw new Error(`A PUBACK means committed, and yet lost: ${lost.join(', ')}`);
}

/** `100m`, `500k` or a number. */
function rowsOf(text: string): number {
  const [, digits, unit = ''] = /^(\d+)([km]?)$/i.exec(text) ?? [];
  if (digits === undefined) throw new Error(`--rows ${text}: a number is wanted, or one like 500k or 100m`);
  return Number(digits) * ({ k: 1e3, m: 1e6 }[unit.toLowerCase()] ?? 1);
}

/** Says the title and answers what says the lines below it. */
function heading(title: string): (line: string) => void {
  say(title);
  return (line) => say(`  ${line}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  },
);

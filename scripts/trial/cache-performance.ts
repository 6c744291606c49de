/**
 * The part of scripts/test-cache-performance.sh that asks: for the latest readings of meters, some much more often than
 * others (Zipf, s = 1), then before and after writes.
 */
import { createZipf } from '../../test/bench/load/zipf.js';
import { trialHouse, wholeNumber, type TrialHouse } from './house.js';
import { isSigning, readingAt, withMeters, type TrialMeter } from './meters.js';
import { conclude } from './verdict.js';

interface Answer {
  readonly energy: number;
  readonly cache: string | null;
  readonly tookMs: number;
}

/** An instance that has not heard of a write for so long has missed it. */
const patienceMs = 5_000;
const goodShare = 0.7;
const quarterMs = 900_000;

void conclude(async () => {
  const addresses = process.argv.slice(2);
  const houses = addresses.length > 0 ? addresses.map((url) => trialHouse(url)) : [trialHouse()];
  const [first] = houses;
  if (first === undefined) return [];
  const sign = isSigning();
  // Keys are registered one by one, five a minute in production.
  const meters = wholeNumber('METERS', sign ? 10 : 100, { min: 1, max: 1_000 });
  const requests = wholeNumber('REQUESTS', 3_000, { min: 1, max: 10_000_000 });
  const callers = wholeNumber('CALLERS', 16, { min: 1, max: 1_000 });
  const writes = wholeNumber('WRITES', 20, { min: 0, max: 500 });
  return withMeters(first, { meters, sign }, async (registered) => {
    for (const meter of registered) await submit(first, meter, 10_000, 0);
    return [
      ...(await hitProblems(houses, registered, requests, callers)),
      ...(await writeProblems(houses, registered, writes)),
    ];
  });
});

async function hitProblems(
  houses: readonly TrialHouse[],
  meters: readonly TrialMeter[],
  requests: number,
  callers: number,
): Promise<string[]> {
  const zipf = createZipf(meters.length, 1, 1);
  const answers: Answer[] = [];
  let left = requests;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (left > 0) {
        left -= 1;
        const meter = meters[zipf()];
        const house = houses[left % houses.length];
        if (meter !== undefined && house !== undefined) answers.push(await latestOf(house, meter));
      }
    }),
  );
  if (answers.every(({ cache }) => cache === null))
    return ['no answer says X-Cache: the cache is off, CACHE_RECENT_READINGS_TTL is 0'];
  const hits = answers.filter(({ cache }) => cache === 'hit');
  const misses = answers.filter(({ cache }) => cache !== 'hit');
  const share = hits.length / answers.length;
  const shown = `${(100 * share).toFixed(1)} % hits`;
  say(`${answers.length} questions about ${meters.length} meters at ${houses.length} instance(s): ${shown}`);
  say(`  hits:   ${timesOf(hits)}`);
  say(`  misses: ${timesOf(misses)}`);
  return share > goodShare ? [] : [`${shown}, wanted more than ${100 * goodShare} %`];
}

/** The one that was written to answers truly at once; the others as soon as they have heard of it. */
async function writeProblems(
  houses: readonly TrialHouse[],
  meters: readonly TrialMeter[],
  writes: number,
): Promise<string[]> {
  const [first] = houses;
  const heardMs: number[] = [];
  const problems: string[] = [];
  for (let round = 1; round <= writes; round += 1) {
    const meter = meters[round % meters.length];
    if (meter === undefined || first === undefined) break;
    for (const house of houses) await latestOf(house, meter);
    const energy = 10_000 + round;
    await submit(first, meter, energy, round);
    const written = performance.now();
    for (const house of houses) {
      const untilMs = house === first ? written : written + patienceMs;
      let answer = await latestOf(house, meter);
      while (answer.energy !== energy && performance.now() < untilMs) answer = await latestOf(house, meter);
      if (answer.energy !== energy)
        problems.push(`${house.url} still answers ${answer.energy / 10_000} kWh of ${meter.meter_id}`);
      else if (house !== first) heardMs.push(performance.now() - written);
    }
  }
  say(`${writes} writes: ${problems.length} old answers afterwards`);
  if (heardMs.length > 0)
    say(`  seen at another instance after at most ${Math.max(...heardMs).toFixed(1)} ms, asking included`);
  return problems;
}

/** Quarter hours from six days ago on: far enough from each other. */
async function submit(house: TrialHouse, meter: TrialMeter, energy: number, quarters: number): Promise<void> {
  const time = Math.floor(Date.now() / quarterMs - 6 * 96 + quarters) * quarterMs;
  await house.ask('POST', '/api/meters/submit-reading', readingAt(meter, energy, time));
}

async function latestOf(house: TrialHouse, { meter_id }: TrialMeter): Promise<Answer> {
  const begun = performance.now();
  let cache: string | null = null;
  const { kwh_amount } = await house.ask<{ kwh_amount: number }>(
    'GET',
    `/api/meter_data/${meter_id}`,
    undefined,
    { onHeaders: (headers) => (cache = headers.get('x-cache')) },
  );
  return { energy: Math.round(kwh_amount * 10_000), cache, tookMs: performance.now() - begun };
}

function timesOf(answers: readonly Answer[]): string {
  const sorted = answers.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
  return sorted.length === 0 ? 'none' : `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

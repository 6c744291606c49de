/**
 * The part of scripts/test-cache-performance.sh that asks: for the latest readings of meters, some much more often than
 * others (Zipf, s = 1), then before and after writes. Ends with 1 when too few answers were hits, or one was old.
 */
import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createZipf } from '../test/bench/load/zipf.js';

interface Meter {
  readonly id: string;
  readonly meter_id: string;
  readonly secret: string;
}

interface Answer {
  readonly energy: number;
  readonly cache: string | null;
  readonly tookMs: number;
}

/** An instance that has not heard of a write for so long has missed it. */
const patienceMs = 5_000;
const goodShare = 0.7;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      meters: { type: 'string', default: '100' },
      requests: { type: 'string', default: '3000' },
      callers: { type: 'string', default: '16' },
      writes: { type: 'string', default: '20' },
    },
  });
  const houses = positionals.length > 0 ? positionals : ['http://127.0.0.1:1880'];
  const [first = ''] = houses;
  const meters: Meter[] = [];
  try {
    const name = `CACHE-${Date.now().toString(36)}`;
    for (let number = 0; number < Number(values.meters); number += 1)
      meters.push(await registerMeter(first, `${name}-${number}`));
    const isGood = await ask(houses, meters, Number(values.requests), Number(values.callers));
    const isTrue = await write(houses, meters, Number(values.writes));
    process.exitCode = isGood && isTrue ? 0 : 1;
  } finally {
    for (const { id } of meters) await request(`${first}/devices/${id}`, { method: 'DELETE' });
  }
}

async function ask(
  houses: readonly string[],
  meters: readonly Meter[],
  requests: number,
  callers: number,
): Promise<boolean> {
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
  if (answers.every(({ cache }) => cache === null)) {
    say('No answer says X-Cache: the cache is off, CACHE_RECENT_READINGS_TTL is 0.');
    return false;
  }
  const hits = answers.filter(({ cache }) => cache === 'hit');
  const misses = answers.filter(({ cache }) => cache !== 'hit');
  const share = hits.length / answers.length;
  say(
    `${answers.length} questions about ${meters.length} meters at ${houses.length} instance(s): ` +
      `${(100 * share).toFixed(1)} % hits (wanted: more than ${100 * goodShare} %)`,
  );
  say(`  hits:   ${timesOf(hits)}`);
  say(`  misses: ${timesOf(misses)}`);
  return share > goodShare;
}

/** The one that was written to answers truly at once; the others as soon as they have heard of it. */
async function write(houses: readonly string[], meters: readonly Meter[], writes: number): Promise<boolean> {
  const [first = ''] = houses;
  const heardMs: number[] = [];
  let old = 0;
  for (let round = 1; round <= writes; round += 1) {
    const meter = meters[round % meters.length];
    if (meter === undefined) break;
    for (const house of houses) await latestOf(house, meter);
    const energy = 10_000 + round;
    await submit(first, meter, energy, round);
    const written = performance.now();
    for (const house of houses) {
      const untilMs = house === first ? written : written + patienceMs;
      let answer = await latestOf(house, meter);
      while (answer.energy !== energy && performance.now() < untilMs) answer = await latestOf(house, meter);
      if (answer.energy !== energy) {
        old += 1;
        say(`  ${house} still answers ${answer.energy / 10_000} kWh of ${meter.meter_id}`);
      } else if (house !== first) heardMs.push(performance.now() - written);
    }
  }
  say(`${writes} writes: ${old} old answers afterwards (wanted: 0)`);
  if (heardMs.length > 0)
    say(`  seen at another instance after at most ${Math.max(...heardMs).toFixed(1)} ms, asking included`);
  return old === 0;
}

async function registerMeter(house: string, name: string): Promise<Meter> {
  const device = (await post(`${house}/devices`, { type: 'meter', meter_id: name })) as { id: string };
  const key = (await post(`${house}/api/admin/devices/register`, {
    meter_id: name,
    algorithm: 'hmac-sha256',
  })) as { secret: string };
  const meter = { id: device.id, meter_id: name, secret: key.secret };
  await submit(house, meter, 10_000, 0);
  return meter;
}

/** Quarter hours from six days ago on: far enough from each other. */
async function submit(house: string, meter: Meter, energy: number, quarters: number): Promise<void> {
  const quarterMs = 900_000;
  const time = Math.floor(Date.now() / quarterMs - 6 * 96 + quarters) * quarterMs;
  const text = `${meter.meter_id}|${energy}|${time}`;
  await post(`${house}/api/meters/submit-reading`, {
    meter_id: meter.meter_id,
    kwh_amount: energy / 10_000,
    reading_timestamp: new Date(time).toISOString(),
    device_signature: createHmac('sha256', Buffer.from(meter.secret, 'hex')).update(text).digest('hex'),
  });
}

async function latestOf(house: string, { meter_id }: Meter): Promise<Answer> {
  const begun = performance.now();
  const answer = await request(`${house}/api/meter_data/${meter_id}`, { method: 'GET' });
  const { kwh_amount } = (await answer.json()) as { kwh_amount: number };
  const tookMs = performance.now() - begun;
  return { energy: Math.round(kwh_amount * 10_000), cache: answer.headers.get('x-cache'), tookMs };
}

async function post(url: string, body: unknown): Promise<unknown> {
  return (await request(url, { method: 'POST', body: JSON.stringify(body) })).json();
}

/** Waits where it is told to; everything else that is not a success ends the whole. */
async function request(url: string, init: RequestInit): Promise<Response> {
  for (;;) {
    const answer = await fetch(url, { ...init, headers: headers(), signal: AbortSignal.timeout(30_000) });
    if (answer.ok) return answer;
    if (answer.status !== 429)
      throw new Error(`${init.method} ${url}: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
    await delay(1_000 * Number(answer.headers.get('retry-after') ?? 1));
  }
}

function headers(): Record<string, string> {
  const { TOKEN, API_KEY } = process.env;
  return {
    'content-type': 'application/json',
    ...(TOKEN === undefined ? {} : { authorization: `Bearer ${TOKEN}` }),
    ...(API_KEY === undefined ? {} : { 'x-api-key': API_KEY }),
  };
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

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});

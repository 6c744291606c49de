/**
 * The part of scripts/test-distributed-websocket.sh that listens: opens listeners on one house or several, lets the house
 * store a reading each round, and counts what everybody hears. Ends with 1 when somebody misses one or hears it twice.
 */
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { trialHouse } from './trial/house.js';
import { readingsOf, withMeters } from './trial/meters.js';

interface Listener {
  readonly house: string;
  readonly ws: WebSocket;
  /** How often a reading was heard, by its energy. */
  readonly heard: Map<number, number>;
  readonly tookMs: number[];
}

const patienceMs = 10_000;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      clients: { type: 'string', default: '100' },
      readings: { type: 'string', default: '20' },
    },
  });
  const houses = positionals.length > 0 ? positionals : ['http://127.0.0.1:1880'];
  // Readings go in at the first.
  process.env['BASE_URL'] = houses[0];
  const house = trialHouse();
  const { TOKEN: token = '', API_KEY: key = '' } = process.env;
  const login = token === '' ? key : token;

  await withMeters(house, { meters: 1, sign: login !== '' }, async (meters) => {
    const count = Number(values.clients);
    const listeners = await Promise.all(
      houses.flatMap((one) =>
        Array.from({ length: count }, () => listen(one, meters[0]?.meter_id ?? '', login)),
      ),
    );
    say(`${listeners.length} listeners: ${count} on each of ${houses.join(', ')}`);
    const sent = new Map<number, number>();
    // Told apart by their energy.
    for (const reading of readingsOf(meters, Number(values.readings))) {
      sent.set(reading.kwh_amount, performance.now());
      await house.ask('POST', '/api/meters/submit-reading', reading, { good: [201] });
      await untilHeard(listeners, reading.kwh_amount, sent);
    }
    for (const { ws } of listeners) ws.close();
    report(houses, listeners, sent);
  });
}

async function listen(house: string, meterId: string, login: string): Promise<Listener> {
  const address = new URL('/ws', house.replace(/^http/, 'ws'));
  address.searchParams.set('events', 'MeterReadingSubmitted');
  address.searchParams.set('meters', meterId);
  if (login !== '') address.searchParams.set('access_token', login);
  const ws = new WebSocket(address);
  const listener: Listener = { house, ws, heard: new Map(), tookMs: [] };
  ws.on('message', (message) => {
    const { data } = JSON.parse((message as Buffer).toString()) as { data: { kwh_amount?: number } };
    if (data.kwh_amount === undefined) return;
    listener.heard.set(data.kwh_amount, (listener.heard.get(data.kwh_amount) ?? 0) + 1);
  });
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
  return listener;
}

async function untilHeard(
  listeners: readonly Listener[],
  energy: number,
  sent: ReadonlyMap<number, number>,
): Promise<void> {
  const begun = sent.get(energy) ?? 0;
  const waiting = new Set(listeners);
  while (waiting.size > 0 && performance.now() - begun < patienceMs) {
    for (const listener of waiting) {
      if (!listener.heard.has(energy)) continue;
      listener.tookMs.push(performance.now() - begun);
      waiting.delete(listener);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function report(
  houses: readonly string[],
  listeners: readonly Listener[],
  sent: ReadonlyMap<number, number>,
): void {
  let isGood = true;
  for (const house of houses) {
    const there = listeners.filter((listener) => listener.house === house);
    const missed = there.reduce((sum, { heard }) => sum + sent.size - heard.size, 0);
    const doubled = there.reduce(
      (sum, { heard }) => sum + [...heard.values()].filter((times) => times > 1).length,
      0,
    );
    const took = there.flatMap(({ tookMs }) => tookMs).toSorted((one, other) => one - other);
    const p95 = took[Math.ceil(took.length * 0.95) - 1] ?? Number.NaN;
    say(
      `${house}: ${there.length} listeners × ${sent.size} readings: ${missed} missed, ${doubled} doubled; ` +
        `from the request to the listener p95 ${p95.toFixed(1)} ms`,
    );
    if (missed > 0 || doubled > 0) isGood = false;
  }
  say(isGood ? 'passed' : 'FAILED');
  if (!isGood) process.exitCode = 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

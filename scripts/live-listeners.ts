/**
 * The part of scripts/test-distributed-websocket.sh that listens: opens listeners on one house or several, lets the house
 * store a reading each round, and counts what everybody hears. Ends with 1 when somebody misses one or hears it twice.
 */
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';

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
  const [first = ''] = houses;
  const token = process.env['TOKEN'] || undefined;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;

  const meter = await registerMeter(first, headers);
  const count = Number(values.clients);
  const listeners = await Promise.all(
    houses.flatMap((house) => Array.from({ length: count }, () => listen(house, meter.meter_id, token))),
  );
  say(`${listeners.length} listeners: ${count} on each of ${houses.join(', ')}`);

  const sent = new Map<number, number>();
  for (let number = 1; number <= Number(values.readings); number++) {
    // Told apart by their energy; quarter hours lie far enough from each other.
    const energy = number / 10_000;
    sent.set(energy, performance.now());
    const body = { meter_id: meter.meter_id, kwh_amount: energy, reading_timestamp: quarterAgo(number) };
    const answer = await fetch(`${first}/api/meters/submit-reading`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    if (answer.status !== 201)
      throw new Error(`the reading was not stored: ${answer.status} ${await answer.text()}`);
    await untilHeard(listeners, energy, sent);
  }
  await fetch(`${first}/devices/${meter.id}`, { method: 'DELETE', headers });
  for (const { ws } of listeners) ws.close();
  report(houses, listeners, sent);
}

async function registerMeter(
  house: string,
  headers: Record<string, string>,
): Promise<{ readonly id: string; readonly meter_id: string }> {
  const answer = await fetch(`${house}/devices`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ type: 'meter' }),
  });
  if (!answer.ok) throw new Error(`POST ${house}/devices answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as { id: string; meter_id: string };
}

async function listen(house: string, meterId: string, token: string | undefined): Promise<Listener> {
  const address = new URL('/ws', house.replace(/^http/, 'ws'));
  address.searchParams.set('events', 'MeterReadingSubmitted');
  address.searchParams.set('meters', meterId);
  if (token !== undefined) address.searchParams.set('access_token', token);
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

function quarterAgo(number: number): string {
  const length = 900_000;
  return new Date(Math.floor(Date.now() / length) * length - number * length).toISOString();
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

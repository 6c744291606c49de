import { Agent, request } from 'node:http';
import type { Heard } from './judge.js';
import { numberOf, tokenOf, type Call } from './plan.js';

/** `paced`: each call at its own instant, come what may. `flood`: so many under way at any time, for so long. */
export type Pace =
  { readonly pace: 'paced' } | { readonly pace: 'flood'; readonly atOnce: number; readonly seconds: number };

export interface CallsMade {
  readonly heard: readonly Heard[];
  /** From the first call to the last answer. */
  readonly seconds: number;
  /** Calls without an answer yet, as the pace found them. */
  readonly waitingMean: number;
  readonly waitingMost: number;
}

const tickMs = 2;
/** Longer than any contestant may take: nobody waits for an answer after that. */
const patienceMs = 75_000;

/** Those who call `POST /api/inject_token`, over kept connections, as many as are needed. */
export async function makeCalls(url: string, calls: readonly Call[], pace: Pace): Promise<CallsMade> {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  const heard: Heard[] = [];
  const waited = { sum: 0, looks: 0, most: 0 };
  let waiting = 0;
  const look = (): void => {
    waited.sum += waiting;
    waited.looks += 1;
    waited.most = Math.max(waited.most, waiting);
  };
  const make = async (call: Call, dueAt: number): Promise<void> => {
    waiting += 1;
    const { status, units } = await post(agent, url, call);
    waiting -= 1;
    heard.push({ token: call.token, dueAt, answeredAt: performance.now(), status, units });
  };
  const started = performance.now();
  try {
    await (pace.pace === 'paced' ? paced(calls, make, look) : flood(calls, pace, make, look));
  } finally {
    agent.destroy();
  }
  return {
    heard,
    seconds: (performance.now() - started) / 1_000,
    waitingMean: waited.sum / Math.max(1, waited.looks),
    waitingMost: waited.most,
  };
}

type Make = (call: Call, dueAt: number) => Promise<void>;

async function paced(calls: readonly Call[], make: Make, look: () => void): Promise<void> {
  const started = performance.now();
  const under: Promise<void>[] = [];
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const passed = performance.now() - started;
      for (let call = calls[under.length]; call !== undefined; call = calls[under.length]) {
        if (call.dueMs > passed) break;
        under.push(make(call, started + call.dueMs));
      }
      look();
      if (under.length < calls.length) return;
      clearInterval(timer);
      resolve();
    }, tickMs);
  });
  await Promise.all(under);
}

async function flood(
  calls: readonly Call[],
  { atOnce, seconds }: { readonly atOnce: number; readonly seconds: number },
  make: Make,
  look: () => void,
): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  let next = 0;
  const inTurn = async (): Promise<void> => {
    for (let now = performance.now(); now < until; now = performance.now()) {
      const call = calls[next++];
      if (call === undefined) return;
      look();
      await make(call, now);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, inTurn));
}

function post(
  agent: Agent,
  url: string,
  { token, meter }: Call,
): Promise<{ status: number | null; units: number | null }> {
  return new Promise((resolve) => {
    const body = JSON.stringify({ meter_number: numberOf(meter), credit_token: tokenOf(token) });
    const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
    const nothing = (): void => resolve({ status: null, units: null });
    const sent = request(`${url}/api/inject_token`, { method: 'POST', agent, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => {
        clearTimeout(timer);
        resolve({ status: answer.statusCode ?? 0, units: unitsIn(text) });
      });
      answer.on('error', nothing);
    });
    const timer = setTimeout(() => sent.destroy(), patienceMs);
    sent.on('error', nothing);
    sent.end(body);
  });
}

function unitsIn(text: string): number | null {
  const found = /"injected_units":\s*([\d.]+)/.exec(text)?.[1];
  return found === undefined ? null : Math.round(Number(found) * 10_000);
}

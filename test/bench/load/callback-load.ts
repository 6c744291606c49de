import { Agent, request } from 'node:http';
import { addLatency, emptyLatencies, type LatencyCounts } from './latency-histogram.js';

/** `paced`: `rate` callbacks a second, come what may. `max`: `atOnce` under way at any time. */
export type CallbackStep = { readonly seconds: number } & (
  { readonly mode: 'paced'; readonly rate: number } | { readonly mode: 'max'; readonly atOnce: number }
);

export interface CallbackResult<C> {
  /** Answered with "accepted". */
  readonly accepted: readonly C[];
  /** Answered otherwise, or not at all. */
  readonly others: readonly C[];
  /** From the first byte of the first to the last answer. */
  readonly seconds: number;
  /** From the instant a callback was due to its answer, ms. */
  readonly latencies: LatencyCounts;
}

interface Sendable {
  readonly path: string;
  readonly body: string;
}

const tickMs = 2;
const answerMs = 20_000;
/** As many connections as a provider's sender may have. */
const socketsMax = 64;

/** Plays the provider: real HTTP, connections kept open, callbacks in the order of the list until it or the time ends. */
export async function sendCallbacks<C extends Sendable>(
  url: string,
  callbacks: readonly C[],
  step: CallbackStep,
  onSend: (callback: C) => void = () => {},
): Promise<CallbackResult<C>> {
  const agent = new Agent({ keepAlive: true, maxSockets: socketsMax });
  const latencies = emptyLatencies();
  const accepted: C[] = [];
  const others: C[] = [];
  const send = async (callback: C, due: number): Promise<void> => {
    onSend(callback);
    const isAccepted = await post(agent, url, callback);
    addLatency(latencies, performance.now() - due);
    (isAccepted ? accepted : others).push(callback);
  };
  const started = performance.now();
  try {
    await (step.mode === 'paced' ? paced(callbacks, step, send) : flood(callbacks, step, send));
  } finally {
    agent.destroy();
  }
  return { accepted, others, seconds: (performance.now() - started) / 1_000, latencies: [...latencies] };
}

type Send<C> = (callback: C, due: number) => Promise<void>;

async function paced<C>(
  callbacks: readonly C[],
  { rate, seconds }: { readonly rate: number; readonly seconds: number },
  send: Send<C>,
): Promise<void> {
  const started = performance.now();
  const total = Math.min(callbacks.length, Math.floor(rate * seconds));
  const under: Promise<void>[] = [];
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      // The first is due at once.
      const until = Math.min(total, 1 + Math.floor(((performance.now() - started) / 1_000) * rate));
      for (let next = under.length; next < until; next += 1) {
        const callback = callbacks[next];
        if (callback !== undefined) under.push(send(callback, started + (next / rate) * 1_000));
      }
      if (under.length < total) return;
      clearInterval(timer);
      resolve();
    }, tickMs);
  });
  await Promise.all(under);
}

async function flood<C>(
  callbacks: readonly C[],
  { atOnce, seconds }: { readonly atOnce: number; readonly seconds: number },
  send: Send<C>,
): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  let next = 0;
  const inTurn = async (): Promise<void> => {
    for (let now = performance.now(); now < until; now = performance.now()) {
      const callback = callbacks[next++];
      if (callback === undefined) return;
      await send(callback, now);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, inTurn));
}

function post(agent: Agent, url: string, { path, body }: Sendable): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(`${url}${path}`, { method: 'POST', agent, headers, timeout: answerMs }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve(answer.statusCode === 200 && /"ResultCode":\s*0\b/.test(text)));
      answer.on('error', () => resolve(false));
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(false));
    sent.end(body);
  });
}

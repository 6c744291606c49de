import { Agent, request } from 'node:http';
import { addLatency, emptyLatencies, type LatencyCounts } from '../load/latency-histogram.js';
import { kinds, type Call, type Kind } from './plan.js';

export interface Called {
  /** From the instant a call was due to the end of its answer, ms. */
  readonly latencies: LatencyCounts;
  readonly byKind: Readonly<Record<Kind, LatencyCounts>>;
  /** By how much calls were sent too late; a bench that has to wait for a core makes latencies longer. */
  readonly lateness: LatencyCounts;
  readonly seconds: number;
  /** Bodies of submissions that were answered with 201. */
  readonly stored: readonly string[];
  /** How often each other answer than 200 and 201 came: `GET /devices 503`, or why there was none. */
  readonly refused: ReadonlyMap<string, number>;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export type Headers = Readonly<Record<string, string>>;

const tickMs = 1;
const answerMs = 20_000;
/** More callers than that at once would be an attack. */
const socketsMax = 512;

/** An open loop: calls leave when they are due, whatever became of those before. @param headersOf of a user's number */
export async function makeCalls(
  url: string,
  calls: readonly Call[],
  headersOf: (user: number) => Headers,
): Promise<Called> {
  const agent = new Agent({ keepAlive: true, maxSockets: socketsMax });
  const latencies = emptyLatencies();
  const lateness = emptyLatencies();
  const byKind = Object.fromEntries(kinds.map((kind) => [kind, emptyLatencies()])) as Record<
    Kind,
    Float64Array
  >;
  const stored: string[] = [];
  const refused = new Map<string, number>();
  const started = performance.now();

  async function make({ kind, dueMs, path, body, user }: Call): Promise<void> {
    addLatency(lateness, performance.now() - started - dueMs);
    const { status, text } = await send(agent, url + path, body, headersOf(user));
    const ms = performance.now() - started - dueMs;
    addLatency(latencies, ms);
    addLatency(byKind[kind], ms);
    if (body !== null && status === 201) stored.push(body);
    else if (body !== null || status !== 200) {
      const what = `${kind}: ${status === 0 ? text : status}`;
      refused.set(what, (refused.get(what) ?? 0) + 1);
    }
  }

  const under: Promise<void>[] = [];
  try {
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const now = performance.now() - started;
        for (
          let call = calls[under.length];
          call !== undefined && call.dueMs <= now;
          call = calls[under.length]
        )
          under.push(make(call));
        if (under.length < calls.length) return;
        clearInterval(timer);
        resolve();
      }, tickMs);
    });
    await Promise.all(under);
  } finally {
    agent.destroy();
  }
  const seconds = (performance.now() - started) / 1_000;
  return {
    latencies: [...latencies],
    lateness: [...lateness],
    byKind: byKind as unknown as Called['byKind'],
    seconds,
    stored,
    refused,
  };
}

/** Status 0: none came; `text` says why. */
export function send(agent: Agent, url: string, body: string | null, headers: Headers): Promise<Answer> {
  return new Promise((resolve) => {
    const all =
      body === null
        ? headers
        : {
            ...headers,
            'content-type': 'application/json',
            'content-length': String(Buffer.byteLength(body)),
          };
    const method = body === null ? 'GET' : 'POST';
    const sent = request(url, { method, agent, headers: all, timeout: answerMs }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on('error', (error) => resolve({ status: 0, text: error.message }));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', (error) => resolve({ status: 0, text: error.message }));
    sent.end(body ?? undefined);
  });
}

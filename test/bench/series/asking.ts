import { Agent } from 'node:http';
import { send, type Headers } from '../api/callers.js';
import { figuresOf } from '../api/same.js';
import { cpuSeconds } from '../process-tree.js';
import type { Times } from './measured.js';
import type { SeriesQuestion } from './questions.js';

export interface Asked {
  readonly cold: readonly number[];
  readonly warm: readonly number[];
  /** Of a warm call. */
  readonly cpuMs: number;
  /** The figures of the first answer. */
  readonly first: unknown;
}

/** A single question without others is put so often when it is warm. */
const warmLeast = 20;

/** One call at a time, as long as it takes; each question once, and then all of them again. @throws on another answer than 200 */
export async function ask(
  url: string,
  { different, path, name }: SeriesQuestion,
  headers: Headers,
  pids: readonly number[],
): Promise<Asked> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  async function call(turn: number): Promise<{ ms: number; text: string }> {
    const begun = performance.now();
    const { status, text } = await send(agent, url + path(turn), null, headers);
    if (status !== 200) throw new Error(`${name} (${path(turn)}) answered ${status}: ${text.slice(0, 300)}`);
    return { ms: performance.now() - begun, text };
  }
  try {
    const cold: number[] = [];
    let first: unknown;
    for (let turn = 0; turn < different; turn += 1) {
      const { ms, text } = await call(turn);
      cold.push(ms);
      if (turn === 0) first = figuresOf(JSON.parse(text));
    }
    const warm: number[] = [];
    const before = cpuSeconds(pids);
    for (let turn = 0; turn < Math.max(different, warmLeast); turn += 1)
      warm.push((await call(turn % different)).ms);
    const cpuMs = ((cpuSeconds(pids) - before) * 1_000) / warm.length;
    return { cold, warm, cpuMs, first };
  } finally {
    agent.destroy();
  }
}

export function timesOf(ms: readonly number[]): Times {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p95: at(0.95), most: sorted.at(-1) ?? 0 };
}

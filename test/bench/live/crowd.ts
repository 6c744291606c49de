import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { CrowdOrder, Heard } from './crowd-process.js';

export interface Crowd {
  /** Resolves when all are heard, or nothing more comes. */
  drained(expected: number): Promise<void>;
  /** What was heard of so many events. */
  report(total: number): Promise<Heard>;
  stop(): void;
}

const patienceMs = 60_000;
/** Longer than a gateway waits to tell of what another one lost. */
const quietMs = 7_000;
const drainMaxMs = 30_000;

export async function openCrowd(order: CrowdOrder): Promise<Crowd> {
  const child = fork(resolve(__dirname, 'crowd-process.ts'), {
    execArgv: ['--require', 'tsx/cjs'],
    serialization: 'advanced',
  });
  child.send(order);
  await answerOf(child);
  const messages = async (): Promise<number> => {
    const answer = answerOf(child) as Promise<number>;
    child.send('progress');
    return answer;
  };
  return {
    async drained(expected) {
      const deadline = performance.now() + drainMaxMs;
      let heard = await messages();
      let heardAt = performance.now();
      while (heard < expected && performance.now() < deadline && performance.now() - heardAt < quietMs) {
        await delay(100);
        const now = await messages();
        if (now !== heard) heardAt = performance.now();
        heard = now;
      }
    },
    async report(total) {
      const heard = answerOf(child) as Promise<Heard>;
      child.send({ report: total });
      return heard;
    },
    stop: () => void child.kill('SIGKILL'),
  };
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const [answer] = (await once(child, 'message', { signal: AbortSignal.timeout(patienceMs) })) as [unknown];
  return answer;
}

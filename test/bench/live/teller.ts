import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { RedisSettings } from '../../../src/redis/connection.js';
import type { TellOrder } from './teller-process.js';

/** A gateway that tells events. */
export interface Teller {
  readonly pid: number;
  /** Of its WebSocket. */
  readonly port: number;
  /** Why its events do not travel; null while they do. */
  problem(): Promise<string | null>;
  /** @returns when each was told, `clockMs` */
  tell(order: TellOrder): Promise<number[]>;
  stop(): void;
}

const patienceMs = 120_000;

export async function startTeller(redis: RedisSettings | null): Promise<Teller> {
  const child = fork(resolve(__dirname, 'teller-process.ts'), [JSON.stringify(redis)], {
    execArgv: ['--require', 'tsx/cjs'],
    serialization: 'advanced',
    env: { ...process.env, LOG_LEVEL: 'silent' },
  });
  const { port } = (await answerOf(child)) as { port: number };
  return {
    pid: child.pid ?? 0,
    port,
    async problem() {
      const answer = answerOf(child) as Promise<{ problem: string | null }>;
      child.send('problem');
      return (await answer).problem;
    },
    async tell(order) {
      const answer = answerOf(child) as Promise<number[]>;
      child.send(order);
      return answer;
    },
    stop: () => void child.kill('SIGKILL'),
  };
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const [answer] = (await once(child, 'message', { signal: AbortSignal.timeout(patienceMs) })) as [unknown];
  return answer;
}

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { LiveEvent } from '../../src/live/event.js';
import type { RedisSettings } from '../../src/redis/connection.js';
import type { FromGateway, ToGateway } from './gateway-process.js';

/** A gateway in a process of its own. */
export interface GatewayProcess {
  readonly url: string;
  tell(...events: readonly LiveEvent[]): void;
  state(): Promise<{ readonly problem: string | null; readonly clients: number }>;
  end(): Promise<void>;
}

export async function startGatewayProcess(redis?: RedisSettings): Promise<GatewayProcess> {
  const child = fork(
    resolve(__dirname, 'gateway-process.ts'),
    redis === undefined ? [] : [JSON.stringify(redis)],
    { execArgv: ['--require', 'tsx/cjs'], env: { ...process.env, LOG_LEVEL: 'silent' } },
  );
  const { url = '' } = await answerOf(child);
  const say = (message: ToGateway): void => void child.send(message);
  return {
    url,
    tell: (...events) => say({ tell: events }),
    async state() {
      const answer = answerOf(child);
      say({ ask: 'state' });
      const { state } = await answer;
      if (state === undefined) throw new Error('The gateway said something else.');
      return state;
    },
    async end() {
      if (child.exitCode !== null) return;
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
}

async function answerOf(child: ChildProcess): Promise<FromGateway> {
  const [answer] = (await once(child, 'message', { signal: AbortSignal.timeout(20_000) })) as [FromGateway];
  return answer;
}

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ConnectOrder, StepOrder, StepResult } from './load-generator.js';

export type { StepOrder, StepResult } from './load-generator.js';
export type Step = StepOrder extends infer Order
  ? Order extends unknown
    ? Omit<Order, 'order'>
    : never
  : never;

export interface Load {
  readonly pid: number;
  /** From the first connection to the last CONNACK. */
  readonly connectSeconds: number;
  step(step: Step): Promise<StepResult>;
  /** Cuts all connections at once and makes them anew. @returns seconds until the last CONNACK */
  dropAndReturn(): Promise<number>;
  end(): Promise<void>;
}

/** Starts the generator's process and its connections. */
export async function startLoad(connections: Omit<ConnectOrder, 'order'>): Promise<Load> {
  const child = fork(join(__dirname, 'load-generator.ts'), { execArgv: ['--require', 'tsx/cjs'] });
  const load = {
    pid: child.pid ?? 0,
    step: (step: Step) => ask<StepResult>(child, { order: 'step', ...step }),
    dropAndReturn: () => ask<number>(child, { order: 'return' }),
    async end(): Promise<void> {
      const exited = once(child, 'exit');
      child.send({ order: 'end' });
      const forced = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await exited;
      clearTimeout(forced);
    },
  };
  try {
    const connectSeconds = await ask<number>(child, { order: 'connect', ...connections });
    return { ...load, connectSeconds };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

export function ask<T>(child: ChildProcess, order: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (work: () => void): void => {
      child.off('message', onMessage);
      child.off('exit', onExit);
      work();
    };
    const onMessage = (message: unknown): void => {
      const { answer, error } = message as { answer?: T; error?: string };
      settle(() => (error === undefined ? resolve(answer as T) : reject(new Error(error))));
    };
    const onExit = (): void => settle(() => reject(new Error('The load generator ended.')));
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.send(order);
  });
}

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ask } from '../load/load.js';
import type { MetersOrder, Played, PlayOrder } from './players.js';

export type Play = PlayOrder extends infer Order
  ? Order extends unknown
    ? Omit<Order, 'order'>
    : never
  : never;

/** The players' process. */
export interface Cast {
  readonly pid: number;
  readonly vendorUrl: string;
  /** Logs the meters in. */
  meters(meters: Omit<MetersOrder, 'order'>): Promise<void>;
  play(play: Play): Promise<Played>;
  end(): Promise<void>;
}

export async function hireCast(): Promise<Cast> {
  const child = fork(join(__dirname, 'players.ts'), { execArgv: ['--require', 'tsx/cjs'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  try {
    return {
      pid: child.pid ?? 0,
      vendorUrl: await ask<string>(child, { order: 'vendor' }),
      async meters(meters) {
        await ask<string>(child, { order: 'meters', ...meters });
      },
      play: (play) => ask<Played>(child, { order: 'play', ...play }),
      async end() {
        process.off('exit', kill);
        const exited = once(child, 'exit');
        child.send({ order: 'end' });
        const forced = setTimeout(kill, 5_000);
        await exited;
        clearTimeout(forced);
      },
    };
  } catch (error) {
    kill();
    throw error;
  }
}

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { openFilesMax } from '../bench/open-files.js';
import type { Lifetimes, LoginOrder, Outcomes, SilentOrder } from './crowd-process.js';
import type { Login } from './mqtt-wire.js';

/** Files that a process has open beside the connections of a crowd. */
const otherFiles = 200;

/** Thousands of connections to one broker, held by processes of their own. */
export class Crowd {
  private constructor(
    private readonly children: readonly ChildProcess[],
    private readonly port: number,
  ) {}

  static async start(port: number, processes = 2): Promise<Crowd> {
    const children = Array.from({ length: processes }, () =>
      fork(join(__dirname, 'crowd-process.ts'), { execArgv: ['--require', 'tsx/cjs'] }),
    );
    await Promise.all(children.map((child) => once(child, 'spawn')));
    return new Crowd(children, port);
  }

  /** Opens one connection per element, that says these bytes (hex) and no more; from four addresses of this machine. */
  async silent(says: readonly string[]): Promise<void> {
    await this.ask<number>((share) => {
      const own = says.filter((_, n) => this.isOf(share, n));
      const from = own.map((_, n) => `127.0.0.${2 + (n % 4)}`);
      return { order: 'silent', port: this.port, from, says: own } satisfies SilentOrder;
    });
  }

  /** When the broker has closed them all: how long they were open. */
  async closed(): Promise<Lifetimes> {
    const found = await this.ask<Lifetimes>(() => ({ order: 'closed' }));
    return {
      count: found.reduce((sum, { count }) => sum + count, 0),
      shortestMs: Math.min(...found.map(({ shortestMs }) => shortestMs)),
      longestMs: Math.max(...found.map(({ longestMs }) => longestMs)),
    };
  }

  /** All log in at once; see `LoginOrder` for what becomes of those that were there. */
  async logIn(logins: readonly Login[], before: LoginOrder['before']): Promise<Outcomes> {
    const found = await this.ask<Outcomes>((share) => ({
      order: 'login',
      port: this.port,
      logins: logins.filter((_, n) => this.isOf(share, n)),
      before,
    }));
    const all: Outcomes = {};
    for (const [outcome, count] of found.flatMap(Object.entries<number>))
      all[outcome] = (all[outcome] ?? 0) + count;
    return all;
  }

  end(): void {
    for (const child of this.children) child.disconnect();
  }

  private isOf(share: number, n: number): boolean {
    return n % this.children.length === share;
  }

  private ask<T>(order: (share: number) => object): Promise<T[]> {
    return Promise.all(
      this.children.map(async (child, share) => {
        const ended = once(child, 'exit').then(() =>
          Promise.reject(new Error('A process of the crowd ended.')),
        );
        const answered = once(child, 'message') as Promise<[T]>;
        child.send(order(share));
        const [answer] = await Promise.race([answered, ended]);
        return answer;
      }),
    );
  }
}

/** @throws when a process with so many connections would run out of files here; Node.js has raised its own limit already. */
export function needOpenFiles(connections: number): void {
  const needed = connections + otherFiles;
  if (openFilesMax() < needed)
    throw new Error(
      `${connections} connections need more open files than ${openFilesMax()}: ulimit -Hn ${needed}`,
    );
}

import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { DomainError } from '../../errors.js';
import type { LogFile } from './log-file.js';
import { killAll } from './processes.js';

/** One run of the server's first process. */
export interface Postmaster {
  readonly pid: number;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

export interface PostmasterOptions {
  readonly start: () => ChildProcess;
  readonly data: string;
  /** Of the database `postgres`. */
  readonly url: string;
  readonly log: LogFile;
  readonly timeoutMs: number;
}

/**
 * Starts it and waits until it answers; a crash recovery may take minutes.
 * @throws DomainError DATABASE_UNAVAILABLE with what it said last
 */
export async function startPostmaster({
  start,
  data,
  url,
  log,
  timeoutMs,
}: PostmasterOptions): Promise<Postmaster> {
  const child = start();
  child.stdout?.on('data', (bytes: Buffer) => log.write(bytes));
  child.stderr?.on('data', (bytes: Buffer) => log.write(bytes));
  let running = true;
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      running = false;
      resolve();
    };
    child.once('exit', end);
    child.once('error', end);
  });
  const deadline = Date.now() + timeoutMs;
  while (!(await answers(url))) {
    const late = Date.now() > deadline;
    if (running && !late) await Promise.race([delay(50), ended]);
    else {
      if (late) await killAll(data);
      const what = late ? `does not answer within ${timeoutMs} ms` : 'ended while it started';
      throw new DomainError(
        'DATABASE_UNAVAILABLE',
        `The embedded PostgreSQL ${what}: ${log.tail() || 'no message'}`,
      );
    }
  }
  return {
    pid: child.pid ?? 0,
    ended,
    async stop() {
      // SIGINT: sessions are closed, everything is written. SIGQUIT leaves it to the next start's recovery.
      for (const [name, patienceMs] of [
        ['SIGINT', 5_000],
        ['SIGQUIT', 1_000],
      ] as const) {
        if (!running) break;
        child.kill(name);
        await Promise.race([ended, delay(patienceMs, undefined, { ref: false })]);
      }
      await killAll(data);
      await ended;
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 1_000, query_timeout: 1_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch (error) {
    // 28P01: the password file does not fit the data; waiting would not help.
    if (error instanceof Error && 'code' in error && error.code === '28P01') throw error;
    return false;
  } finally {
    client.end().catch(() => {});
  }
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/database.js';
import { logger } from '../operation/logging.js';
import { channel, Gathered, isNothing, nothing, textsOf, type Change } from './change.js';

export interface Telling {
  add(change: Change): void;
  close(): Promise<void>;
}

/** At most so often: what comes meanwhile travels together. */
const everyMs = 20;
const againMs = 500;
/** Failures in a row; after them the next try is when the database says that it is back. */
const attemptsMax = 5;
const closeMs = 1_000;
const log = logger('cache');

/**
 * Tells other instances of changes through the database, beside the writers and never in their transactions: commits
 * that notify wait for one another, each for its own turn at the disk. Not lost while the database is away; what waits
 * is bounded, since too many names become "everything".
 */
export function createTelling(database: Database, teller: string, first: Change): Telling {
  const closing = new AbortController();
  let waiting = new Gathered(first);
  let running: Promise<void> | null = null;
  let failures = 0;

  async function run(): Promise<void> {
    // What this turn of the event loop still brings goes along.
    await Promise.resolve();
    while (!isNothing(waiting)) {
      const change = waiting;
      waiting = new Gathered(nothing);
      if (await attempt(change)) await pause(everyMs);
      else {
        waiting.add(change);
        if (closing.signal.aborted) return;
        await (failures < attemptsMax ? pause(againMs) : untilUp());
      }
    }
  }

  async function attempt(change: Change): Promise<boolean> {
    try {
      await notify(database, textsOf(teller, change));
      failures = 0;
      return true;
    } catch (error) {
      failures += 1;
      // A database that is away is told of by everybody else.
      if (failures === attemptsMax) log.warn({ reason: String(error) }, 'other instances are not told yet');
      return false;
    }
  }

  async function pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: closing.signal, ref: false }).catch(() => {});
  }

  function untilUp(): Promise<void> {
    return new Promise((resolve) => {
      const stop = database.onState((state) => {
        if (state === 'up') end();
      });
      const end = (): void => {
        stop();
        closing.signal.removeEventListener('abort', end);
        resolve();
      };
      closing.signal.addEventListener('abort', end);
    });
  }

  function wake(): void {
    if (isNothing(waiting)) return;
    running ??= run().finally(() => {
      running = null;
      if (!closing.signal.aborted) wake();
    });
  }

  return {
    add(change) {
      waiting.add(change);
      wake();
    },
    async close() {
      closing.abort();
      wake();
      await Promise.race([running, delay(closeMs, undefined, { ref: false })]);
    },
  };
}

/** Nothing is lost with the commit of a mere notice, so it does not wait for the disk, and nobody waits for it. */
async function notify(database: Database, texts: readonly string[]): Promise<void> {
  await database.query({
    name: 'answers-changed',
    text: `select set_config('synchronous_commit', 'off', true), count(pg_notify('${channel}', u.text))
             from unnest($1::text[]) as u (text)`,
    values: [texts],
    timeoutMs: 5_000,
  });
}

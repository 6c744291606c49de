import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from './database.js';
import { isTransient } from './failures.js';

export interface UntilCommittedOptions {
  readonly signal: AbortSignal;
  /** Called before each wait with the reason, for people. */
  readonly onHold?: (reason: string) => void;
}

const waitMinMs = 50;
const waitMaxMs = 1_000;

/**
 * Held, not failed ([M-13]): repeats `work`, which must be idempotent, until it succeeds or fails for its own sake.
 * Gives up only when the signal aborts, with the last failure.
 */
export async function untilCommitted<T>(
  database: Pick<Database, 'state' | 'onState'>,
  work: () => Promise<T>,
  { signal, onHold }: UntilCommittedOptions,
): Promise<T> {
  for (let waitMs = waitMinMs; ; waitMs = Math.min(2 * waitMs, waitMaxMs)) {
    try {
      return await work();
    } catch (error) {
      if (!isTransient(error) || signal.aborted) throw error;
      onHold?.(error instanceof Error ? error.message : String(error));
      await nextChance(database, waitMs * (0.5 + Math.random() / 2), signal);
      if (signal.aborted) throw error;
    }
  }
}

/** Waits, but no longer than until the database is reported up again. */
async function nextChance(
  database: Pick<Database, 'state' | 'onState'>,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const early = new AbortController();
  const stop = database.onState((state) => {
    if (state === 'up') early.abort();
  });
  await delay(waitMs, undefined, { signal: AbortSignal.any([signal, early.signal]) }).catch(() => {});
  stop();
}

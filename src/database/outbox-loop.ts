import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from './database.js';
import { isTransient } from './failures.js';

export interface OutboxLoopOptions {
  /** Of the database, which notifies it when there is something in the outbox. */
  readonly channel: string;
  /** Takes what there is, as long as it `mayWork`; called again when `wake` came meanwhile, never twice at a time. */
  readonly drain: () => Promise<void>;
  /** Why nothing leaves at the moment, for people; null: it does again. Told when it changes. */
  readonly onState: (reason: string | null) => void;
  /** For a channel that says several things; else each notice wakes. */
  readonly onNotice?: (notice: string) => void;
  /** A drain is over, and nothing was wanted meanwhile; also when paused or stopped. */
  readonly onIdle?: () => void;
}

export interface OutboxLoop {
  /** Aborted by `stop`. */
  readonly stopping: AbortSignal;
  /** Ends with the drain under way, and those that `wake` adds to it; at once when there is none. */
  readonly running: Promise<void>;
  readonly isPaused: boolean;
  /** Neither paused nor stopped. */
  readonly mayWork: () => boolean;
  /** Drains now, or once more after the drain under way; while paused, at `resume`. */
  readonly wake: () => void;
  /** Begins no further drain until `resume`; the one under way sees it by `mayWork`. */
  readonly pause: () => void;
  readonly resume: () => void;
  readonly show: (reason: string | null) => void;
  readonly showError: (error: unknown) => void;
  /** Side work: its failure is shown, unless it `isTransient`. That one costs this work only, and drains tell of it. */
  readonly beside: (work: () => Promise<void>) => void;
  /** Side work now, and again and again until `stop`. */
  readonly every: (ms: number, work: () => Promise<void>) => void;
  /** Begins nothing more, and listens no more. A drain under way goes on: see `running`. */
  readonly stop: () => Promise<void>;
}

/** A notice may be lost, and a failed drain is tried again. */
const pollMs = 1_000;

/**
 * When the relay of an outbox looks into it: at each notice of the database, when its listening connection is back, each
 * second, and at `wake`, with which its owner begins; one drain at a time. A drain that fails is shown and left to the
 * next poll. What a drain does, how it claims, and how long its end is waited for, is the relay's own.
 */
export function startOutboxLoop(database: Pick<Database, 'listen'>, options: OutboxLoopOptions): OutboxLoop {
  const { channel, drain, onState, onNotice = wake, onIdle = () => {} } = options;
  const stopping = new AbortController();
  let isPaused = false;
  let isWanted = false;
  let running: Promise<void> | undefined;
  let state: string | null = null;

  function show(reason: string | null): void {
    if (reason === state) return;
    state = reason;
    onState(reason);
  }

  function showError(error: unknown): void {
    show(error instanceof Error ? error.message : String(error));
  }

  function mayWork(): boolean {
    return !isPaused && !stopping.signal.aborted;
  }

  function wake(): void {
    isWanted = true;
    if (!mayWork()) return;
    running ??= drainWanted().finally(() => {
      running = undefined;
      if (isWanted) wake();
      else onIdle();
    });
  }

  async function drainWanted(): Promise<void> {
    while (isWanted && mayWork()) {
      isWanted = false;
      try {
        await drain();
      } catch (error) {
        if (!stopping.signal.aborted) showError(error);
      }
    }
  }

  function beside(work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (!isTransient(error)) showError(error);
    });
  }

  const listening = database.listen(channel, { handler: onNotice, reset: wake });
  const timers = [setInterval(wake, pollMs)];

  return {
    stopping: stopping.signal,
    get running() {
      return running ?? Promise.resolve();
    },
    get isPaused() {
      return isPaused;
    },
    mayWork,
    wake,
    pause: () => void (isPaused = true),
    resume() {
      isPaused = false;
      wake();
    },
    show,
    showError,
    beside,
    every(ms, work) {
      timers.push(setInterval(beside, ms, work));
      beside(work);
    },
    async stop() {
      stopping.abort();
      for (const timer of timers) clearInterval(timer);
      await (
        await listening
      )();
    },
  };
}

/** Resolves when all of it is over, or the time is; rejects with the first failure before. */
export async function within(ms: number, work: Iterable<Promise<void>>): Promise<void> {
  await Promise.race([Promise.all(work), delay(ms, undefined, { ref: false })]);
}

import { setTimeout as delay } from 'node:timers/promises';

/** How long a caller waits, and what it hears meanwhile. */
export interface CommitOptions {
  /** Ends the wait. What is not committed by then is not acknowledged, so its device sends it again. */
  readonly signal: AbortSignal;
  /** Called with the reason, for people, each time the commit is put off. */
  readonly onHold?: (reason: string) => void;
}

export interface Lane<T> {
  /**
   * Resolves when all items are committed; rejects with the failure of their transaction, or with the reason of the
   * signal when that aborts first.
   */
  add(items: readonly T[], options: CommitOptions): Promise<void>;
}

export interface LaneOptions<T> {
  /**
   * While fewer than `below` items wait, a transaction begins so many ms later and takes along what comes meanwhile: a
   * transaction of one costs nearly as much as one of twenty. None unless told otherwise.
   */
  readonly linger?: { readonly ms: number; readonly below: number };
  /** Most items of one transaction. */
  readonly batchMax: number;
  /** Commits items of several callers; ends when they are committed, or failed, or nobody waits any more. */
  readonly commit: (items: T[], options: Required<CommitOptions>) => Promise<void>;
}

/**
 * Group commit: what arrives while a transaction is on its way joins the next one. One transaction at a time, in the
 * order of arrival. Whoever adds bounds what waits here; the broker does, by its deliveries in flight.
 */
export function createLane<T>({ batchMax, linger, commit }: LaneOptions<T>): Lane<T> {
  let waiting: Call<T>[] = [];
  let running: { calls: Call<T>[]; abort: AbortController } | null = null;
  let busy = false;

  async function run(): Promise<void> {
    busy = true;
    // What arrives in this turn of the event loop belongs to the first transaction.
    await Promise.resolve();
    while ((waiting = waiting.filter(isOpen)).length > 0) {
      if (linger !== undefined && countOf(waiting) < linger.below) {
        await delay(linger.ms);
        waiting = waiting.filter(isOpen);
      }
      if (waiting.length > 0) await commitNext();
    }
    busy = false;
  }

  async function commitNext(): Promise<void> {
    const { items, calls } = take(waiting, batchMax);
    const abort = new AbortController();
    running = { calls, abort };
    const onHold = (reason: string): void => calls.forEach((call) => call.onHold?.(reason));
    try {
      await commit(items, { signal: abort.signal, onHold });
      for (const call of calls) if (call.taken === call.items.length) call.settle();
    } catch (error) {
      for (const call of calls) call.settle(error);
    }
    running = null;
  }

  function leave(call: Call<T>, reason: unknown): void {
    call.settle(reason);
    if (running !== null && !running.calls.some(isOpen)) running.abort.abort(reason);
  }

  return {
    async add(items, { signal, onHold }) {
      signal.throwIfAborted();
      if (items.length === 0) return;
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => leave(call, signal.reason);
        const call: Call<T> = {
          items,
          taken: 0,
          settled: false,
          onHold,
          settle(failure) {
            call.settled = true;
            signal.removeEventListener('abort', onAbort);
            if (failure === undefined) resolve();
            else reject(failure);
          },
        };
        signal.addEventListener('abort', onAbort);
        waiting.push(call);
        if (!busy) void run();
      });
    },
  };
}

interface Call<T> {
  readonly items: readonly T[];
  readonly onHold: ((reason: string) => void) | undefined;
  /** How many items have gone into a transaction. */
  taken: number;
  settled: boolean;
  /** A promise settles once, so a second call does nothing. */
  settle(failure?: unknown): void;
}

function countOf(waiting: readonly Call<unknown>[]): number {
  return waiting.reduce((sum, { items, taken }) => sum + items.length - taken, 0);
}

function isOpen(call: Call<unknown>): boolean {
  return !call.settled;
}

function take<T>(waiting: readonly Call<T>[], batchMax: number): { items: T[]; calls: Call<T>[] } {
  const items: T[] = [];
  const calls: Call<T>[] = [];
  for (const call of waiting) {
    const share = call.items.slice(call.taken, call.taken + batchMax - items.length);
    if (share.length === 0) break;
    for (const item of share) items.push(item);
    call.taken += share.length;
    calls.push(call);
  }
  return { items, calls };
}

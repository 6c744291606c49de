import type { Reading, Rejection } from '../readings/reading.js';
import type { Batch } from './batch.js';
import { deferred } from './deferred.js';

/** What became of the readings of a run. */
export interface RunResult {
  /** Committed, now or before. */
  readonly stored: number;
  readonly rejected: readonly Rejection[];
}

/** One attempt at storing a batch, while its readings are in the flow. */
export interface Run {
  /** Stands in the messages; a number, because messages are cloned. */
  readonly id: number;
  /** Resolves when every reading has its outcome; rejects with what the flow reported. */
  readonly result: Promise<RunResult>;
  /** Whether the reading at this index has no outcome yet. */
  isOpen(part: number): boolean;
  /** Ends it: the batch as it is committed now, or null when the attempt came to nothing. */
  close(batch: Batch | null): void;
}

export interface Runs {
  /** @param parts the indices of its readings */
  open(parts: Iterable<number>): Run;
  /**
   * The store has decided on these. Unknown runs and repeats are ignored.
   * @returns the batch, after its commit, for the message that brought the last reading; else null
   */
  settle(
    id: number,
    outcome: 'stored' | 'rejected',
    items: readonly (Reading | Rejection)[],
  ): Promise<Batch | null>;
  /** The flow failed. */
  fail(id: number, error: unknown): void;
}

/**
 * Process-wide: the node that begins a run and the nodes that see it end have only the message between them. A run
 * that its worker closed is forgotten, so nothing piles up.
 */
export const runs: Runs = createRuns();

function createRuns(): Runs {
  const open = new Map<number, OpenRun>();
  let last = 0;
  return {
    open(parts) {
      const id = ++last;
      const run = new OpenRun(parts);
      open.set(id, run);
      return {
        id,
        result: run.result.promise,
        isOpen: (part) => run.isOpen(part),
        close(batch) {
          open.delete(id);
          run.closed.resolve(batch);
        },
      };
    },
    async settle(id, outcome, items) {
      const run = open.get(id);
      return run !== undefined && run.settle(outcome, items) ? run.closed.promise : null;
    },
    fail: (id, error) => open.get(id)?.result.reject(error),
  };
}

class OpenRun {
  readonly result = deferred<RunResult>();
  readonly closed = deferred<Batch | null>();
  readonly #waiting: Set<number>;
  readonly #rejected: Rejection[] = [];
  #stored = 0;

  constructor(parts: Iterable<number>) {
    this.#waiting = new Set(parts);
    // Who waits for it hears of it; nobody may wait any more.
    this.result.promise.catch(() => {});
  }

  /** @returns true when these were the last */
  isOpen(part: number): boolean {
    return this.#waiting.has(part);
  }

  settle(outcome: 'stored' | 'rejected', items: readonly (Reading | Rejection)[]): boolean {
    let news = 0;
    for (const item of items) {
      if (!this.#waiting.delete(item.part)) continue;
      news += 1;
      if (outcome === 'stored') this.#stored += 1;
      else this.#rejected.push(item as Rejection);
    }
    if (news === 0 || this.#waiting.size > 0) return false;
    this.result.resolve({ stored: this.#stored, rejected: this.#rejected });
    return true;
  }
}

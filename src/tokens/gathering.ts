import { isTransient } from '../database/database.js';

interface Item<In, Out> {
  readonly value: In;
  readonly resolve: (out: Out) => void;
  readonly reject: (error: unknown) => void;
}

export interface Gathered<In, Out> {
  readonly itemsMax: number;
  /** Batches under way at once. */
  readonly batchesMax: number;
  /** How long the first of a batch waits for others; without it, for those of the same moment. */
  readonly lingerMs?: number;
  /** One outcome for each, in this order. */
  readonly work: (values: readonly In[]) => Promise<readonly Out[]>;
}

/**
 * What comes while a commit is under way travels with the next one, so that a thousand injections cost as many commits
 * as a disk can do. When a batch fails for the sake of one of its items, each is tried alone.
 */
export function createGathering<In, Out>({
  itemsMax,
  batchesMax,
  lingerMs,
  work,
}: Gathered<In, Out>): (value: In) => Promise<Out> {
  let waiting: Item<In, Out>[] = [];
  let running = 0;

  function start(): void {
    while (running < batchesMax && waiting.length > 0) {
      const batch = waiting.slice(0, itemsMax);
      waiting = waiting.slice(itemsMax);
      running += 1;
      void settle(batch).finally(() => {
        running -= 1;
        start();
      });
    }
  }

  async function settle(batch: readonly Item<In, Out>[]): Promise<void> {
    try {
      const outs = await work(batch.map(({ value }) => value));
      batch.forEach(({ resolve, reject }, index) => {
        const out = outs[index];
        if (out === undefined) reject(new Error('A batch came back without one of its outcomes.'));
        else resolve(out);
      });
    } catch (error) {
      if (batch.length === 1 || isTransient(error)) for (const { reject } of batch) reject(error);
      else for (const item of batch) await settle([item]);
    }
  }

  return (value) =>
    new Promise<Out>((resolve, reject) => {
      waiting.push({ value, resolve, reject });
      if (waiting.length > 1) return;
      if (lingerMs === undefined) setImmediate(start);
      else setTimeout(start, lingerMs).unref();
    });
}

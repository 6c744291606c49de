import { DomainError } from '../errors.js';
import { metrics } from '../operation/metrics.js';
import type { MockEvent } from './mock-event.js';
import type { MockKeeper } from './mock-keeper.js';
import type { MockChange } from './mock-changes-store.js';

/** One after the other, in the order in which they came: snapshots of the registry and events. */
export interface MockQueue {
  /** `settled` when its outcome is committed, or when it is refused for its own sake. */
  add(event: MockEvent, settled: (problem?: Error) => void): void;
  /** The registry is looked at as a whole, before the events that wait. */
  look(): void;
  /** Ends with what is under way; who waits is told. */
  stop(): Promise<void>;
  readonly size: number;
  /** Why the last look failed, for people. */
  readonly problem: string | null;
}

interface Waiting {
  readonly event: MockEvent;
  readonly settled: (problem?: Error) => void;
}

const batchMax = 1_000;
const lookAgainMs = 5_000;

export function createMockQueue(keeper: MockKeeper, warn: (line: string) => void): MockQueue {
  let waiting: Waiting[] = [];
  let wantsLook = false;
  let isStopped = false;
  let problem: string | null = null;
  let working: Promise<void> | undefined;
  let again: NodeJS.Timeout | undefined;

  function wake(): void {
    if (isStopped) return;
    working ??= work().finally(() => {
      working = undefined;
      if (wantsLook || waiting.length > 0) wake();
    });
  }

  /** Never rejects. */
  async function work(): Promise<void> {
    // What comes in the same moment travels together.
    await new Promise((next) => setImmediate(next));
    if (isStopped) return;
    if (wantsLook) {
      wantsLook = false;
      await look();
    } else await apply(waiting.splice(0, batchMax));
  }

  async function look(): Promise<void> {
    try {
      await keeper.reconcile();
      problem = null;
    } catch (error) {
      if (isStopped) return;
      problem = error instanceof Error ? error.message : String(error);
      warn(`The registry could not be looked at: ${problem}`);
      again = setTimeout(() => queue.look(), lookAgainMs);
    }
  }

  /** One event that cannot be applied for its own sake must not keep the others. */
  async function apply(batch: readonly Waiting[]): Promise<void> {
    try {
      const changes = await keeper.apply(batch.map(({ event }) => event));
      for (const { event, settled } of batch) settled(refusalOf(event, changes));
    } catch (error) {
      if (isStopped) return settleAll(batch, closed());
      const [only] = batch;
      if (batch.length > 1) for (const one of batch) await apply([one]);
      else if (only !== undefined) refuse(only, error);
    }
  }

  function refuse({ event, settled }: Waiting, error: unknown): void {
    metrics.mockEvents.inc({ outcome: 'refused' });
    const reason = error instanceof Error ? error : new Error(String(error));
    warn(`The event of device ${event.real_id} was not applied: ${reason.message}`);
    settled(reason);
  }

  const queue: MockQueue = {
    add(event, settled) {
      if (isStopped) return settled(closed());
      waiting.push({ event, settled });
      wake();
    },
    look() {
      wantsLook = true;
      wake();
    },
    async stop() {
      isStopped = true;
      clearTimeout(again);
      await working;
      const left = waiting;
      waiting = [];
      settleAll(left, closed());
    },
    get size() {
      return waiting.length;
    },
    get problem() {
      return problem;
    },
  };
  return queue;
}

function refusalOf(event: MockEvent, changes: readonly MockChange[]): Error | undefined {
  const refused = changes.find(({ real_id, effect }) => effect === 'refused' && real_id === event.real_id);
  if (refused === undefined) return undefined;
  return new DomainError('METER_ID_TAKEN', `${refused.id} is the name of somebody else: no mock is made.`);
}

function settleAll(items: readonly Waiting[], problem: Error): void {
  for (const { settled } of items) settled(problem);
}

function closed(): Error {
  return new DomainError('DATABASE_UNAVAILABLE', 'The mock world was closed before the event was applied.');
}

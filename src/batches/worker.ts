import { setTimeout as delay } from 'node:timers/promises';
import { untilCommitted, type Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { errorAnswer } from '../http/errors.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { Reading } from '../readings/reading.js';
import { createAlarm } from './alarm.js';
import {
  beginBatch,
  channel,
  finishBatch,
  forgetBatches,
  getBatch,
  postponeBatch,
  runningOf,
  unfinishedBatches,
  type Begun,
  type Finish,
} from './batch-store.js';
import { readingOf, type Batch, type BatchError, type KeptReading } from './batch.js';
import type { Job, Queue } from './queue.js';
import { runs, type RunResult } from './runs.js';

/** What is sent into the flow. */
export interface Task {
  readonly job_id: string;
  readonly attempt: number;
  /** Of the run: outcomes are reported under it. */
  readonly run: number;
  readonly readings: readonly Reading[];
}

export interface WorkerOptions {
  /** Names this worker, the same after a restart: what its earlier life left running goes on at once. */
  readonly name: string;
  /** Batches in the flow at a time. */
  readonly concurrency?: number;
  /** How long the flow may take for a batch, not counting the time while the database is away. */
  readonly runMs?: number;
  readonly onTask: (task: Task) => void;
  /** All attempts are used up. */
  readonly onFailed: (batch: Batch) => void;
  /** After each change: batches in the flow. */
  readonly onProgress?: (running: number) => void;
}

export interface BatchWorker {
  /** The flow goes away (Deploy): nothing is sent into it. */
  pause(): void;
  /** It is there again, and gets of the batches under way what has no outcome yet. */
  resume(): void;
  /** What is in the flow goes back to the queue; a commit under way is awaited. */
  close(): Promise<void>;
}

const pollMs = 500;
const touchMs = 10_000;
const houseKeepingMs = 60_000;
const keptDays = 30;
const closeMs = 4_000;

/**
 * Takes batches from the queue into the flow and writes down what becomes of them. Sleeps until it is notified while
 * nothing is unfinished.
 */
export function startBatchWorker(database: Database, queue: Queue, options: WorkerOptions): BatchWorker {
  const { name, concurrency = 4, runMs = 60_000, onTask, onFailed, onProgress = () => {} } = options;
  const log = logger('batches');
  const closing = new AbortController();
  const finishing = new AbortController();
  const running = new Map<Job, Promise<void>>();
  /** Sends what is still open of a run. */
  const offers = new Set<() => void>();
  let flowIsAway = false;
  const alarm = createAlarm();
  const listening = database.listen(channel, { handler: alarm.ring, reset: alarm.ring });
  listening.catch(() => {});
  const heart = setInterval(() => void touch(), touchMs);
  const house = setInterval(() => void keepHouse(), houseKeepingMs);
  heart.unref();
  house.unref();
  let recovered = false;
  const looping = loop();

  async function loop(): Promise<void> {
    while (!closing.signal.aborted) {
      let waitMs: number;
      try {
        if (!recovered) await recover();
        waitMs = await takeOn();
      } catch (error) {
        log.debug({ err: error }, 'no batch could be taken');
        waitMs = 1_000;
      }
      await alarm.wait(waitMs, closing.signal);
    }
  }

  /** What a killed process left running, which nobody else may touch before its heartbeat is missed. */
  async function recover(): Promise<void> {
    const ids = await runningOf(database, name);
    if (ids.length > 0) await putBack(ids);
    recovered = true;
  }

  /** @returns how long to wait for the next look */
  async function takeOn(): Promise<number> {
    const free = concurrency - running.size;
    if (free === 0) return Infinity;
    const unfinished = await unfinishedBatches(database, 0, running.size + 1);
    if (unfinished.length <= running.size) return Infinity;
    for (const job of await database.transaction((tx) => queue.claim(tx, free))) {
      const work = run(job)
        .catch((error: unknown) =>
          log.error({ err: error, job: job.id }, 'a batch was left to another worker'),
        )
        .finally(() => {
          running.delete(job);
          onProgress(running.size);
          alarm.ring();
        });
      running.set(job, work);
    }
    onProgress(running.size);
    return pollMs;
  }

  async function run(job: Job): Promise<void> {
    const from = performance.now();
    // It is claimed: nobody else would take it for a minute when this gave up.
    const begun = await untilCommitted(database, () => beginBatch(database, job.id, name), {
      signal: closing.signal,
    });
    if (begun === undefined) return database.transaction((tx) => queue.complete(tx, job));
    const received_at = begun.submitted_at.getTime();
    const one = runs.open(begun.readings.map(([part]) => part));
    const over = new AbortController();
    let batch: Batch | null = null;
    let offer: (() => void) | undefined;
    try {
      const readings = begun.readings.map((kept) => readingOf(kept, received_at));
      offer = (): void => {
        const open = readings.filter(({ part }) => one.isOpen(part));
        if (open.length > 0) onTask({ job_id: job.id, attempt: begun.attempts, run: one.id, readings: open });
      };
      offers.add(offer);
      if (!flowIsAway) offer();
      const result = await Promise.race([
        one.result,
        deadline(AbortSignal.any([closing.signal, over.signal])),
      ]);
      batch = await finish(job, doneBy(result));
      metrics.batchSeconds.observe((performance.now() - from) / 1000);
    } catch (error) {
      if (closing.signal.aborted) await putBack([job.id]);
      else await failAttempt(job, begun, error);
    } finally {
      over.abort();
      if (offer !== undefined) offers.delete(offer);
      one.close(batch);
    }
  }

  async function finish(job: Job, outcome: Finish): Promise<Batch | null> {
    const commit = () =>
      database.transaction(async (tx) => {
        const batch = await finishBatch(tx, job.id, outcome);
        await queue.complete(tx, job);
        return batch;
      });
    const batch = await untilCommitted(database, commit, { signal: finishing.signal });
    if (batch !== undefined) metrics.batchesCompleted.inc({ status: 'success' });
    return batch ?? (await getBatch(database, job.id)) ?? null;
  }

  async function failAttempt(job: Job, { readings }: Begun, error: unknown): Promise<void> {
    const { code, message } = errorAnswer(error).body.error;
    log.warn({ err: error, job: job.id, last: job.last }, 'an attempt at storing a batch failed');
    const rejected = failures(readings, code, message);
    const commit = () =>
      database.transaction(async (tx) => {
        await queue.fail(tx, job, message);
        if (job.last) return finishBatch(tx, job.id, { state: 'failed', stored: 0, rejected });
        await postponeBatch(tx, job.id, 'retrying');
        return undefined;
      });
    const failed = await untilCommitted(database, commit, { signal: finishing.signal });
    if (failed !== undefined) tellFailed(failed);
  }

  function tellFailed(batch: Batch): void {
    metrics.batchesCompleted.inc({ status: 'failed' });
    onFailed(batch);
  }

  function putBack(ids: readonly string[]): Promise<void> {
    return database.transaction(async (tx) => {
      await queue.giveBack(tx, ids);
      for (const id of ids) await postponeBatch(tx, id, 'queued');
    });
  }

  /** Rejects when the time is over, or the signal aborts. */
  async function deadline(signal: AbortSignal): Promise<never> {
    const stepMs = Math.min(runMs, 1_000);
    for (let spentMs = 0; spentMs < runMs;) {
      await delay(stepMs, undefined, { signal, ref: false });
      if (database.state === 'up') spentMs += stepMs;
    }
    throw new DomainError(
      'FLOW_UNSETTLED',
      'The flow did not bring back every reading in time: is an output left unwired?',
    );
  }

  async function touch(): Promise<void> {
    if (running.size > 0) await queue.touch([...running.keys()]).catch(() => {});
  }

  /** Forgets old batches, and ends those that pg-boss has given up because their workers died again and again. */
  async function keepHouse(): Promise<void> {
    try {
      await forgetBatches(database, keptDays);
      const mine = new Set([...running.keys()].map(({ id }) => id));
      for (const id of await unfinishedBatches(database, 120, 20)) {
        if (!mine.has(id) && (await queue.isLost(id))) await giveUp(id);
      }
    } catch (error) {
      log.debug({ err: error }, 'house-keeping of batches');
    }
  }

  async function giveUp(id: string): Promise<void> {
    const begun = await beginBatch(database, id, name);
    const reason = 'Its workers ended again and again before they had stored it.';
    const rejected = failures(begun?.readings ?? [], 'INTERNAL', reason);
    const failed = await finishBatch(database, id, { state: 'failed', stored: 0, rejected });
    if (failed !== undefined) tellFailed(failed);
  }

  return {
    pause() {
      flowIsAway = true;
    },
    resume() {
      flowIsAway = false;
      for (const offer of offers) offer();
    },
    async close() {
      closing.abort();
      clearInterval(heart);
      clearInterval(house);
      const settled = Promise.allSettled([looping, ...running.values()]);
      await Promise.race([settled, delay(closeMs, undefined, { ref: false })]);
      finishing.abort();
      const stop = await Promise.race([
        listening.catch(() => undefined),
        delay(500, undefined, { ref: false }),
      ]);
      await stop?.();
    },
  };
}

function failures(readings: readonly KeptReading[], error: string, reason: string): BatchError[] {
  return readings.map(([index, meter_id]) => ({ index, meter_id, error, reason }));
}

function doneBy({ stored, rejected }: RunResult): Finish {
  return {
    state: 'done',
    stored,
    rejected: rejected.map(({ part, meter_id, code, reason }) => ({
      index: part,
      meter_id,
      error: code,
      reason,
    })),
  };
}

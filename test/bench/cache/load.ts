import { setTimeout as delay } from 'node:timers/promises';
import { isTransient, type Database } from '../../../src/database/database.js';
import { drawn } from '../../../src/mocks/seeded.js';
import { createReadingWriter } from '../../../src/readings/writer.js';
import { energyReading } from '../../statistics/readings.js';
import { addLatency, emptyLatencies, percentile } from '../load/latency-histogram.js';
import { meterIdOf } from '../load/reading-plan.js';
import { createZipf } from '../load/zipf.js';
import type { CacheEntry } from './measured.js';
import type { House } from './ways.js';

export interface CacheLoad {
  readonly meters: number;
  readonly perSecond: number;
  readonly writesPerSecond: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

interface Written {
  /** Of the reading, Unix ms. */
  readonly time: number;
  /** By our clock. */
  readonly committedAt: number;
}

const { signal } = new AbortController();
const tickMs = 5;

/**
 * Questions at a fixed rate, half of them at each of two instances, four of five for the latest reading; Zipf with s = 1.
 * Beside it readings of all meters alike, written at the first. An answer is old when it lacks a reading that was
 * committed before the question was due.
 */
export async function measureCacheLoad(
  name: string,
  houses: readonly [House, House],
  database: Database,
  load: CacheLoad,
): Promise<CacheEntry> {
  const written = new Map<string, Written>();
  const underWay = new Set<Promise<void>>();
  const writer = createReadingWriter(database, { spacingSeconds: 0 });
  const zipf = createZipf(load.meters, 1, 7);
  const counts = emptyLatencies();
  const found = { questions: 0, failed: 0, hits: 0, oldHere: 0, oldThere: 0, oldestMs: 0 };

  async function write(turn: number): Promise<void> {
    const meter = meterIdOf(Math.floor(drawn(11, 'write', turn) * load.meters));
    const time = Date.now();
    await writer.store([energyReading(meter, time, 10_000)], { signal });
    written.set(meter, { time, committedAt: performance.now() });
  }

  async function ask(turn: number, due: number, into: Float64Array | null): Promise<void> {
    const meter = meterIdOf(zipf());
    const at = turn % 2;
    const last = written.get(meter);
    const asked = performance.now();
    const told = await (houses[at] ?? houses[0])
      .ask(meter, turn % 5 === 0 ? 'page' : 'latest')
      .catch((error: unknown) => {
        // More than the database can take: its connections were waited for in vain.
        if (isTransient(error)) return null;
        throw error;
      });
    if (into === null) return;
    addLatency(into, performance.now() - due);
    found.questions += 1;
    if (told === null) {
      found.failed += 1;
      return;
    }
    const { time, isHit } = told;
    if (isHit) found.hits += 1;
    if (last === undefined || time >= last.time) return;
    if (at === 0) found.oldHere += 1;
    else found.oldThere += 1;
    found.oldestMs = Math.max(found.oldestMs, asked - last.committedAt);
  }

  function begin(work: Promise<void>): void {
    const done = work.finally(() => underWay.delete(done));
    underWay.add(done);
  }

  /** What is due by now, at once: a loop that was late catches up, and what waited counts. */
  async function run(seconds: number, into: Float64Array | null): Promise<void> {
    const begun = performance.now();
    let [asked, wrote] = [0, 0];
    for (let now = begun; now - begun < 1_000 * seconds; now = performance.now()) {
      for (; asked < ((now - begun) / 1_000) * load.perSecond; asked += 1)
        begin(ask(asked, begun + (1_000 * asked) / load.perSecond, into));
      for (; wrote < ((now - begun) / 1_000) * load.writesPerSecond; wrote += 1) begin(write(wrote));
      await delay(tickMs);
    }
    await Promise.all(underWay);
  }

  await run(load.warmUpSeconds, null);
  const before = houses[0].loads() + houses[1].loads();
  await run(load.seconds, counts);
  const at = (share: number): number | null => percentile(Array.from(counts), share);
  const { questions, failed, hits, oldHere, oldThere, oldestMs } = found;
  return {
    name,
    questions,
    failed,
    hitShare: hits / questions,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    loads: houses[0].loads() + houses[1].loads() - before,
    oldHere,
    oldThere,
    oldestMs,
  };
}

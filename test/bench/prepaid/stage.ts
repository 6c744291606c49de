import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../../../src/database/database.js';
import { credit } from '../../balances/meters.js';
import { sendCallbacks, type CallbackResult, type CallbackStep } from '../load/callback-load.js';
import { startLoad, type Step, type StepResult } from '../load/load.js';
import { differentReports, prepaidBalance } from '../load/reading-plan.js';
import type { Scene } from '../measure.js';
import { watchNeighbours } from '../neighbours.js';
import { cpuSeconds } from '../process-tree.js';
import { compareBooks, type Difference } from './books.js';
import { openEars, type Ears } from './ears.js';
import { expectedBooks, paymentsOf, type Told } from './expected.js';
import type { House } from './house.js';
import {
  describe,
  describeAround,
  describeCallbacks,
  describeReports,
  latencyOf,
  type Around,
  type CallbacksMeasured,
  type Latency,
  type ReportsMeasured,
} from './measured.js';
import { callbacksOf, paymentOf, type Callback, type PaymentPlan } from './payments.js';

/** Enough for any flood. */
const callbacksPerSecondMost = 2_000;
export const warmUpSeconds = 2;
const stillMs = 3_000;
const stillDeadlineMs = 120_000;

export interface Stage {
  readonly ears: Ears;
  callbacks(name: string, step: CallbackStep): Promise<CallbacksMeasured>;
  reports(name: string, step: Step): Promise<ReportsMeasured>;
  compare(): Promise<Difference>;
  commitToMeter(database: Database, seconds: number): Promise<Latency & { readonly around: Around }>;
  close(): Promise<void>;
}

/** Meters with money, prompts and connections: one that reports and one that listens, each. */
export async function openStage(scene: Scene, house: House, seconds: number): Promise<Stage> {
  const { running, server, log } = scene;
  const url = running.httpUrl ?? '';
  const meterIds = running.logins.map(({ meterId }) => meterId);
  const plan: PaymentPlan = { meterIds, paidAt: Date.now() };
  const most = callbacksPerSecondMost * (seconds + warmUpSeconds);
  await house.fund(meterIds);
  await house.openPrompts(
    Array.from({ length: most }, (_, n) => paymentOf(plan, n)).filter(({ channel }) => channel === 'stk'),
  );
  const ears = await openEars(running.mqttPort, running.logins);
  const load = await startLoad({
    host: '127.0.0.1',
    port: running.mqttPort,
    plan: { base: Date.now(), readingsMax: 1_000_000, isPrepaid: true },
    first: 0,
    meters: running.logins,
    atOnce: 500,
  });
  const own = [server.pid, ...running.pids()];
  const roots = [process.pid, load.pid, ...own];
  const told: Told[] = [];
  const reported: StepResult[] = [];
  let next = 0;

  async function around<T>(work: () => Promise<T>): Promise<[T, Around]> {
    const neighbours = watchNeighbours(roots);
    const ownBefore = cpuSeconds(own);
    const cpuBefore = process.cpuUsage();
    const begun = performance.now();
    const done = await work();
    const { user, system } = process.cpuUsage(cpuBefore);
    const took = (performance.now() - begun) / 1_000;
    const ownCores = (cpuSeconds(own) - ownBefore) / took;
    return [done, { ...neighbours.stop(), ownCores, benchCpuShare: (user + system) / 1e6 / took }];
  }

  return {
    ears,
    async callbacks(name, step) {
      const count = step.seconds * (step.mode === 'paced' ? step.rate : callbacksPerSecondMost);
      const callbacks = callbacksOf(plan, next, count);
      ears.take();
      const left = new Set<number>();
      // A repeat buys nothing, so no command follows it.
      const expect = ({ n }: Callback): void => {
        if (!left.has(n)) ears.expect(paymentOf(plan, n).meterId);
        left.add(n);
      };
      const [result, neighbours] = await around(() => sendCallbacks(url, callbacks, step, expect));
      // Commands of the last payments may still be under way; a paced step has few of them.
      if (step.mode === 'paced') await delay(500);
      told.push(result);
      next = 1 + Math.max(next, ...paymentsOf([result.accepted, result.others]));
      const measured = callbacksMeasured(name, result, ears, neighbours);
      log(describeCallbacks(measured));
      return measured;
    },
    async reports(name, step) {
      const writesBefore = await settledWrites(house, running.storesLater);
      const started = performance.now();
      const [result, neighbours] = await around(() => load.step(step));
      const sentFor = result.seconds;
      const stillAt = running.storesLater ? await standsStill(house) : started + sentFor * 1_000;
      reported.push(result);
      const written = (await house.writes()) - writesBefore;
      const applied = Math.min(written, differentIn(result));
      const measured: ReportsMeasured = {
        step: name,
        acknowledged: result.acknowledged,
        appliedPerSecond: applied / ((stillAt - started) / 1_000),
        puback: latencyOf(result.latencies),
        around: neighbours,
      };
      log(describeReports(measured));
      return measured;
    },
    async compare() {
      if (running.storesLater) await standsStill(house);
      const books = compareBooks(
        expectedBooks(plan, told, reported, ears.used()),
        await house.books(),
        prepaidBalance,
      );
      log(`books: ${JSON.stringify(books)}`);
      return books;
    },
    async commitToMeter(database, length) {
      // Commands of before come first.
      await delay(2_000);
      ears.take();
      const [, neighbours] = await around(() => creditPaced(database, meterIds, ears, length));
      await delay(500);
      const latency = latencyOf(ears.take());
      log(`commit to meter: ${describe(latency)}; ${describeAround(neighbours)}`);
      return { ...latency, around: neighbours };
    },
    async close() {
      await ears.close();
      await load.end();
      await house.close();
    },
  };
}

/** A hundred payments a second, one after the other meter; the clock of each starts just before its commit. */
async function creditPaced(
  database: Database,
  meterIds: readonly string[],
  ears: Ears,
  seconds: number,
): Promise<void> {
  const under: Promise<void>[] = [];
  const begun = performance.now();
  for (let n = 0; n < seconds * 100; n += 1) {
    const due = begun + n * 10;
    if (due > performance.now()) await delay(due - performance.now());
    const meterId = meterIds[n % meterIds.length] ?? '';
    under.push(credit(database, meterId, 1, () => ears.expect(meterId)));
  }
  await Promise.all(under);
}

/** Reports that are no repeats, by the numbers that the step used. */
function differentIn({ meters }: StepResult): number {
  return meters.reduce(
    (sum, { first, count }) => sum + differentReports(first + count) - differentReports(first),
    0,
  );
}

async function settledWrites(house: House, storesLater: boolean): Promise<number> {
  if (storesLater) await standsStill(house);
  return house.writes();
}

/** The instant of the last write, as far as one can see from outside. */
async function standsStill(house: House): Promise<number> {
  const started = performance.now();
  let count = -1;
  let changedAt = started;
  for (;;) {
    const writes = await house.writes();
    const now = performance.now();
    if (writes !== count) {
      count = writes;
      changedAt = now;
    }
    if (now - changedAt > stillMs || now - started > stillDeadlineMs) return changedAt;
    await delay(100);
  }
}

function callbacksMeasured(
  step: string,
  { accepted, others, seconds, latencies }: CallbackResult<Callback>,
  ears: Ears,
  around: Around,
): CallbacksMeasured {
  return {
    step,
    callbacks: accepted.length + others.length,
    refused: others.length,
    acceptedPerSecond: paymentsOf([accepted]).size / seconds,
    callbacksPerSecond: accepted.length / seconds,
    answer: latencyOf(latencies),
    toMeter: latencyOf(ears.take()),
    around,
  };
}

import { setTimeout as delay } from 'node:timers/promises';
import { insertsSoFar } from './contestants/peer-table.js';
import type { Running } from './contestants/contestant.js';
import { startLoad, type Load, type Step } from './load/load.js';
import { percentile } from './load/latency-histogram.js';
import type { ReadingPlan } from './load/reading-plan.js';
import { countLost } from './loss.js';
import type { BenchServer } from './server.js';
import { cpuSeconds, memoryMiB, watchMemory } from './process-tree.js';

export interface Lengths {
  readonly warmUpSeconds: number;
  readonly fixedSeconds: number;
  readonly maxSeconds: number;
  readonly searchSeconds: number;
  readonly searchStepsMax: number;
  readonly crashSeconds: number;
}

export interface Measured {
  readonly step: string;
  /** Readings that were in the database in the end, by the seconds from the first PUBLISH to the last commit. */
  readonly committedPerSecond: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly stored: number;
  /** Acknowledged and not stored. */
  readonly lost: number;
  readonly lostExamples: readonly string[];
  /** Due by the pace and not sent, because more than 1,000 of a connection were under way. */
  readonly withheld: number;
  readonly signedLate: number;
  readonly connectionsLost: readonly string[];
  /** Publish to PUBACK, ms. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly cpuSecondsPer100k: number;
  readonly generatorCpuShare: number;
  readonly peakMiB: number;
}

export interface Measurements {
  readonly connections: number;
  readonly idleMiB: number;
  readonly fixed: Measured;
  readonly max: Measured;
  /** kill -9 of the Node.js process in the middle of `fixedRate`. */
  readonly crash: Measured;
  readonly search: readonly Measured[];
  /** The highest committed rate of a step that lost nothing. */
  readonly lossFreePerSecond: number;
}

/** Ten million meters, a reading every 15 minutes. */
export const fixedRate = 11_111;
/** Readings under way per connection in max mode; 500 connections stay below the broker's bound of 20,000. */
const window = 20;
/** A peer that stores later has stored all it ever will when nothing was inserted for so long. */
const stillMs = 3_000;
const stillDeadlineMs = 90_000;

export interface Scene {
  readonly running: Running;
  readonly server: BenchServer;
  readonly databaseUrl: string;
  readonly plan: ReadingPlan;
  readonly log: (line: string) => void;
}

export async function measure(scene: Scene, lengths: Lengths): Promise<Measurements> {
  const { running, server, plan } = scene;
  const idleMiB = memoryMiB([...running.pids(), server.pid]);
  const load = await startLoad({
    host: '127.0.0.1',
    port: running.mqttPort,
    plan,
    first: 0,
    meters: running.logins,
  });
  try {
    await measureStep(scene, load, { mode: 'paced', rate: 2_000, seconds: lengths.warmUpSeconds });
    const fixed = await measureStep(scene, load, {
      mode: 'paced',
      rate: fixedRate,
      seconds: lengths.fixedSeconds,
    });
    const max = await measureStep(scene, load, { mode: 'max', window, seconds: lengths.maxSeconds });
    const search = max.lost === 0 ? [] : await searchLossFree(scene, lengths, load, fixed);
    const lossFree = [fixed, max, ...search].filter(({ lost }) => lost === 0);
    const lossFreePerSecond = Math.max(0, ...lossFree.map(({ committedPerSecond }) => committedPerSecond));
    const crash = await measureCrash(scene, load, lengths.crashSeconds);
    return { connections: running.logins.length, idleMiB, fixed, max, search, crash, lossFreePerSecond };
  } finally {
    await load.end();
  }
}

/** Goes up from the fixed rate until something is lost, or down until nothing is, and then halves the gap. */
async function searchLossFree(
  scene: Scene,
  lengths: Lengths,
  load: Load,
  fixed: Measured,
): Promise<Measured[]> {
  const steps: Measured[] = [];
  let lossless = fixed.lost === 0 ? fixedRate : 0;
  let lossy = fixed.lost === 0 ? Number.POSITIVE_INFINITY : fixedRate;
  let rate = fixed.lost === 0 ? 1.3 * fixedRate : 0.6 * fixedRate;
  while (steps.length < lengths.searchStepsMax && lossy / Math.max(1, lossless) > 1.1) {
    rate = Math.round(rate / 100) * 100;
    const seconds = lengths.searchSeconds;
    const step = await measureStep(scene, load, { mode: 'paced', rate, seconds });
    steps.push(step);
    if (step.lost === 0) lossless = rate;
    else lossy = rate;
    if (lossy === Number.POSITIVE_INFINITY) rate *= 1.3;
    else rate = lossless === 0 ? rate * 0.6 : (lossless + lossy) / 2;
  }
  return steps;
}

async function measureCrash(scene: Scene, load: Load, seconds: number): Promise<Measured> {
  const crash = async (): Promise<void> => {
    await delay((seconds / 2) * 1_000);
    await scene.running.crash();
  };
  const step = { mode: 'paced', rate: fixedRate, seconds } as const;
  return measureStep(scene, load, step, `kill -9 at ${fixedRate}/s`, crash);
}

/** `meanwhile` begins with the step; the result is counted when both are over. */
export async function measureStep(
  scene: Scene,
  load: Load,
  step: Step,
  name = step.mode === 'paced' ? `${step.rate}/s for ${step.seconds} s` : `flood for ${step.seconds} s`,
  meanwhile = async (): Promise<void> => {},
): Promise<Measured> {
  const { running, server, databaseUrl, plan } = scene;
  const roots = [...running.pids(), server.pid];
  const insertsBefore = running.storesLater ? await insertsSoFar(databaseUrl) : 0;
  const memory = watchMemory(roots);
  const cpuBefore = cpuSeconds(roots);
  const generatorBefore = cpuSeconds([load.pid]);
  const started = performance.now();
  const [result] = await Promise.all([load.step(step), meanwhile()]);
  const generatorCpuShare = (cpuSeconds([load.pid]) - generatorBefore) / result.seconds;
  const stillAt = running.storesLater
    ? await standsStill(databaseUrl, insertsBefore + result.acknowledged)
    : started + result.seconds * 1_000;
  const cpu = cpuSeconds(roots) - cpuBefore;
  const peakMiB = memory.stop();
  const { lost, examples, stored } = await countLost(databaseUrl, plan, result.meters);
  const measured: Measured = {
    step: name,
    committedPerSecond: stored / ((stillAt - started) / 1_000),
    sent: result.sent,
    acknowledged: result.acknowledged,
    stored,
    lost,
    lostExamples: examples,
    withheld: result.withheld,
    signedLate: result.signedLate,
    connectionsLost: result.connectionsLost,
    p50: percentile(result.latencies, 0.5),
    p95: percentile(result.latencies, 0.95),
    p99: percentile(result.latencies, 0.99),
    cpuSecondsPer100k: (cpu / Math.max(1, stored)) * 100_000,
    generatorCpuShare,
    peakMiB,
  };
  scene.log(
    `${name}: ${Math.round(measured.committedPerSecond)}/s committed, ${lost} acknowledged readings lost, ` +
      `p95 ${measured.p95?.toFixed(1) ?? '–'} ms, generator ${Math.round(generatorCpuShare * 100)} % of a core`,
  );
  return measured;
}

/** The instant of the last insert: all that was acknowledged is there, or nothing came for a while. */
async function standsStill(url: string, expected: number): Promise<number> {
  const started = performance.now();
  let count = -1;
  let changedAt = started;
  for (;;) {
    const now = performance.now();
    const inserts = await insertsSoFar(url);
    if (inserts !== count) {
      count = inserts;
      changedAt = now;
    }
    if (count >= expected || now - changedAt > stillMs || now - started > stillDeadlineMs) return changedAt;
    await delay(50);
  }
}

import { setTimeout as delay } from 'node:timers/promises';
import { onStage } from './contest.js';
import type { Contestant } from './contestants/contestant.js';
import { naiveInjection } from './contestants/naive-injection.js';
import { injecting } from './contestants/ours.js';
import { stockInjection } from './contestants/stock-injection.js';
import { hireCast, type Cast } from './injections/cast.js';
import { wrongOf, type Fact } from './injections/judge.js';
import {
  describeInjections,
  type InjectionsEntry,
  type InjectionsMeasured,
  type InjectionsReport,
} from './injections/measured.js';
import { evenCalls, randomCalls, type Call } from './injections/plan.js';
import type { Pace } from './injections/callers.js';
import { auditRecords, type RecordsAudit } from './injections/records.js';
import type { Scene } from './measure.js';
import { watchNeighbours } from './neighbours.js';
import { latencyOf } from './prepaid/measured.js';
import { cpuSeconds, memoryMiB } from './process-tree.js';

export interface InjectionsOptions {
  readonly meters: number;
  /** Of the steps at an even pace, once as many wait as should; and of the flood. */
  readonly seconds: number;
  /** Injections by chance. */
  readonly count: number;
  readonly memoryRounds: number;
  readonly log: (line: string) => void;
}

/** How many wait when calls come at `waiting / answerMs`; the shipped flow lets 1,000 wait, so a few less. */
const levels = [
  { waiting: 1, answerMs: 100 },
  { waiting: 100, answerMs: 1_000 },
  { waiting: 960, answerMs: 4_000 },
] as const;
const floodOf = { atOnce: 300, answerMs: 100, callsMost: 20_000 } as const;
const randomRate = 200;
const memoryOf = { waiting: 990, answerMs: 4_500, withinMs: 1_500 } as const;

/**
 * Token injections on the shipped flows, in the naive pattern and in a flow of stock nodes: the same calls, the same
 * vendor, the same meters. @throws when one of ours was told anything but the truth
 */
export async function measureInjections(options: InjectionsOptions): Promise<InjectionsReport> {
  const ours = await compete(injecting, options);
  const peers = [await compete(naiveInjection, options), await compete(stockInjection, options)];
  return { meters: options.meters, ours, peers };
}

/** What is not as it must be, with examples; '' when all is well. */
export function faultsOf({ levels: even, flood, random, audit }: InjectionsEntry): string {
  const steps = [...even, flood, random].filter(({ verdicts }) => wrongOf(verdicts) > 0);
  const told = steps.map(
    ({ step, verdicts, examples }) => `${step}: ${JSON.stringify(verdicts)}\n${examples.join('\n')}`,
  );
  const records = audit === null || isTrue(audit) ? [] : [`records: ${JSON.stringify(audit)}`];
  return [...told, ...records].join('\n');
}

function isTrue({ booked: _booked, open: _open, ...faults }: RecordsAudit): boolean {
  return Object.values(faults).every((count) => count === 0);
}

async function compete(
  contestantOf: (vendorUrl: string) => Contestant,
  { meters, seconds, count, memoryRounds, log }: InjectionsOptions,
): Promise<InjectionsEntry> {
  const cast = await hireCast();
  const contestant = contestantOf(cast.vendorUrl);
  log(contestant.name);
  try {
    return await onStage(contestant, { meters, log: (line) => log(`  ${line}`) }, async (scene) => {
      await cast.meters({ port: scene.running.mqttPort, logins: scene.running.logins });
      const stage = stageOf(scene, cast, meters);
      await stage.even('warm-up', { waiting: 100, answerMs: 1_000, seconds: 2 });
      const even: InjectionsMeasured[] = [];
      for (const level of levels)
        even.push(await stage.even(`about ${level.waiting} waiting`, { ...level, seconds }));
      const flood = await stage.flood(seconds);
      const kbPerWaiting = await stage.memory(memoryRounds);
      const random = await stage.random(count);
      const isOurs = contestantOf === injecting;
      const audit = isOurs ? await auditRecords(scene.databaseUrl, stage.facts) : null;
      if (audit !== null) log(`  records: ${JSON.stringify(audit)}`);
      const entry = { name: contestant.name, about: contestant.about };
      return { ...entry, levels: even, flood, kbPerWaiting, random, audit };
    });
  } finally {
    await cast.end();
  }
}

function stageOf({ running, server, log }: Scene, cast: Cast, meters: number) {
  const url = running.httpUrl ?? '';
  const own = [server.pid, ...running.pids()];
  const facts: Fact[] = [];
  let first = 0;

  async function step(
    name: string,
    calls: readonly Call[],
    pace: Pace,
    fromMs: number,
  ): Promise<InjectionsMeasured> {
    first = Math.max(first, ...calls.map(({ token }) => token + 1));
    const neighbours = watchNeighbours([process.pid, cast.pid, ...own]);
    const ownBefore = cpuSeconds(own);
    const begun = performance.now();
    const played = await cast.play({ url, calls, fromMs, ...pace });
    const took = (performance.now() - begun) / 1_000;
    const ownCores = (cpuSeconds(own) - ownBefore) / took;
    facts.push(...played.facts);
    const { verdicts, examples, repeats, connectionsLost, waitingMean, waitingMost } = played;
    const measured: InjectionsMeasured = {
      step: name,
      calls: played.calls,
      appliedPerSecond: played.applied / played.seconds,
      overhead: latencyOf(played.overheads),
      waitingMean,
      waitingMost,
      verdicts,
      examples,
      repeats,
      connectionsLost,
      playersCpuShare: played.cpuShare,
      around: { ...neighbours.stop(), ownCores, benchCpuShare: 0 },
    };
    log(describeInjections(measured));
    for (const example of examples.slice(0, 2)) log(`  ${example}`);
    return measured;
  }

  return {
    facts,
    even(
      name: string,
      { waiting, answerMs, seconds }: { waiting: number; answerMs: number; seconds: number },
    ): Promise<InjectionsMeasured> {
      const rate = (waiting * 1_000) / answerMs;
      const fromMs = answerMs * 1.2;
      const count = Math.ceil((rate * (fromMs + seconds * 1_000)) / 1_000);
      const calls = evenCalls({ first, count, rate, meters, answerMs });
      return step(name, calls, { pace: 'paced' }, fromMs);
    },
    flood(seconds: number): Promise<InjectionsMeasured> {
      const { atOnce, answerMs, callsMost } = floodOf;
      const calls = evenCalls({ first, count: callsMost, rate: callsMost, meters, answerMs });
      return step(`flood, ${atOnce} at once`, calls, { pace: 'flood', atOnce, seconds }, 0);
    },
    random(count: number): Promise<InjectionsMeasured> {
      const calls = randomCalls({ first, count, rate: randomRate, meters });
      return step(`${count} by chance`, calls, { pace: 'paced' }, 0);
    },
    /** kB by which its processes grow with each that waits, the database aside; the middle one of the rounds. */
    async memory(rounds: number): Promise<number> {
      const { waiting, answerMs, withinMs } = memoryOf;
      const grown: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        await delay(2_000);
        const before = memoryMiB(running.pids());
        const rate = (waiting * 1_000) / withinMs;
        const calls = evenCalls({ first, count: waiting, rate, meters, answerMs });
        const done = step(`${waiting} that wait at once`, calls, { pace: 'paced' }, 0);
        // All have called, none has heard: the first answers come after 0.8 of their time.
        await delay(withinMs + 1_500);
        grown.push(((memoryMiB(running.pids()) - before) * 1_048.576) / waiting);
        await done;
      }
      return grown.toSorted((one, other) => one - other)[Math.floor(rounds / 2)] ?? Number.NaN;
    },
  };
}

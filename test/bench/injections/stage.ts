import { setTimeout as delay } from 'node:timers/promises';
import type { Scene } from '../measure.js';
import { watchNeighbours } from '../neighbours.js';
import { latencyOf } from '../prepaid/measured.js';
import { cpuSeconds, memoryMiB } from '../process-tree.js';
import type { Pace } from './callers.js';
import type { Cast } from './cast.js';
import type { Fact } from './judge.js';
import { describeInjections, type InjectionsMeasured } from './measured.js';
import { evenCalls, randomCalls, type Call } from './plan.js';

/** The steps of one contestant, each with tokens of its own. */
export interface InjectionStage {
  /** What vendor and meters did so far. */
  readonly facts: readonly Fact[];
  /** Tokens that came to their meter when an earlier one of it was open. */
  readonly doubtful: ReadonlySet<number>;
  /** A token for each meter. */
  warmUp(): Promise<InjectionsMeasured>;
  even(name: string, level: Level): Promise<InjectionsMeasured>;
  flood(seconds: number): Promise<InjectionsMeasured>;
  random(count: number): Promise<InjectionsMeasured>;
  /** kB by which its processes grow with each that waits, the database aside; the most of the rounds. */
  memory(rounds: number): Promise<number>;
}

export interface Level {
  /** Calls come at `waiting / answerMs`. */
  readonly waiting: number;
  /** Of the meters, on average. */
  readonly answerMs: number;
  /** Once so many wait. */
  readonly seconds: number;
}

const floodOf = { atOnce: 300, answerMs: 100, callsMost: 20_000 } as const;
const randomRate = 200;
const memoryOf = { waiting: 990, answerMs: 4_500, withinMs: 1_500 } as const;

export function openInjectionStage(
  { running, server, log }: Scene,
  cast: Cast,
  meters: number,
): InjectionStage {
  const url = running.httpUrl ?? '';
  const own = [server.pid, ...running.pids()];
  const facts: Fact[] = [];
  const doubtful = new Set<number>();
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
    for (const token of played.doubtful) doubtful.add(token);
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
    doubtful,
    even(name, { waiting, answerMs, seconds }) {
      const rate = (waiting * 1_000) / answerMs;
      const fromMs = answerMs * 1.2;
      const count = Math.ceil((rate * (fromMs + seconds * 1_000)) / 1_000);
      const calls = evenCalls({ first, count, rate, meters, answerMs });
      return step(name, calls, { pace: 'paced' }, fromMs);
    },
    warmUp() {
      const calls = evenCalls({ first, count: meters, rate: meters, meters, answerMs: floodOf.answerMs });
      return step('warm-up', calls, { pace: 'flood', atOnce: 100, seconds: 60 }, 0);
    },
    flood(seconds) {
      const { atOnce, answerMs, callsMost } = floodOf;
      const calls = evenCalls({ first, count: callsMost, rate: callsMost, meters, answerMs });
      return step(`flood, ${atOnce} at once`, calls, { pace: 'flood', atOnce, seconds }, 0);
    },
    random(count) {
      const calls = randomCalls({ first, count, rate: randomRate, meters });
      return step(`${count} by chance`, calls, { pace: 'paced' }, 0);
    },
    async memory(rounds) {
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
      return Math.max(...grown);
    },
  };
}

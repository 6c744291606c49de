import { setTimeout as delay } from 'node:timers/promises';
import { onStage } from './contest.js';
import { signed } from './contestants/ours.js';
import { measureBatches, type BatchTimes } from './http-batch.js';
import { startLoad } from './load/load.js';
import { fixedRate, measureStep, type Measured } from './measure.js';
import { openFilesMax } from './open-files.js';
import { memoryMiB } from './process-tree.js';

/** What ten thousand meters at once ask of one gateway. */
export interface Crowd {
  readonly meters: number;
  /** From the first connection to the last CONNACK. */
  readonly connectSeconds: number;
  /** What the gateway grew by, database aside. */
  readonly kbPerConnection: number;
  /** The first reading of each, gently: the gateway has no key of theirs in memory yet. */
  readonly first: Measured;
  readonly paced: Measured;
  /** One reading of each within one second. */
  readonly burst: Measured;
  /** All connections cut at once, until the last is authenticated again. */
  readonly returnSeconds: number;
  /** And then again one reading of each. */
  readonly afterReturn: Measured;
  readonly batch: BatchTimes;
}

const metersWanted = 10_000;
/** Files that a gateway or a generator has open beside its connections. */
const otherFiles = 500;
const firstSeconds = 3;
/** Logins under way at once. */
const atOnce = 500;

export function measureCrowd(lengths: {
  readonly seconds: number;
  readonly batches: number;
  readonly log: (line: string) => void;
}): Promise<Crowd> {
  const { seconds, batches, log } = lengths;
  const meters = Math.min(metersWanted, openFilesMax() - otherFiles);
  return onStage(signed, { meters, log }, async (scene) => {
    const { running, plan } = scene;
    // What the registration of so many devices left is collected before, and not counted as theirs.
    const idleMiB = await settledMiB(running.pids());
    const logins = running.logins;
    const load = await startLoad({
      host: '127.0.0.1',
      port: running.mqttPort,
      plan,
      first: 0,
      meters: logins,
      atOnce,
    });
    try {
      const { connectSeconds } = load;
      const kbPerConnection = (((await settledMiB(running.pids())) - idleMiB) * 1_024 * 1.024) / meters;
      log(`${meters} connections in ${connectSeconds.toFixed(1)} s, ${kbPerConnection.toFixed(1)} kB each`);
      const firstStep = {
        mode: 'paced',
        rate: Math.ceil(meters / firstSeconds),
        seconds: firstSeconds,
      } as const;
      const first = await measureStep(scene, load, firstStep, 'the first reading of each');
      const paced = await measureStep(scene, load, { mode: 'paced', rate: fixedRate, seconds });
      const burstStep = { mode: 'paced', rate: meters, seconds: 1 } as const;
      const burst = await measureStep(scene, load, burstStep, `a burst of ${meters} in one second`);
      const returnSeconds = await load.dropAndReturn();
      log(`all cut, and all back after ${returnSeconds.toFixed(1)} s`);
      const afterReturn = await measureStep(scene, load, burstStep, 'the same burst after the return');
      const batch = await measureBatches(running.httpUrl ?? '', logins, plan, batches);
      log(`batch of ${batch.readings}: 202 after ${batch.acceptedMs} ms, stored after ${batch.storedMs} ms`);
      return {
        meters,
        connectSeconds,
        kbPerConnection,
        first,
        paced,
        burst,
        returnSeconds,
        afterReturn,
        batch,
      };
    } finally {
      await load.end();
    }
  });
}

/** The lowest of a few seconds: garbage that waits for its collection is not what a connection takes. */
async function settledMiB(roots: readonly number[]): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 4; turn += 1) {
    await delay(750);
    lowest = Math.min(lowest, memoryMiB(roots));
  }
  return lowest;
}

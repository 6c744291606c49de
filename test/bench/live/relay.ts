import { eventually } from '../../support/eventually.js';
import { startRedis } from '../../support/redis.js';
import { cpuSeconds, memoryMiB } from '../process-tree.js';
import { openCrowd } from './crowd.js';
import type { RelayStep } from './measured.js';
import { judge, lossOf } from './steps.js';
import { startTeller } from './teller.js';

export interface RelayLoad {
  readonly listeners: number;
  readonly eventsPerSecond: number;
  readonly seconds: number;
}

/** Events of a gateway, heard by listeners of another one: three processes, and a real Redis between them. */
export async function measureRelay({ listeners, eventsPerSecond, seconds }: RelayLoad): Promise<RelayStep> {
  const redis = await startRedis();
  const settings = { url: redis.url, password: null, caFile: null };
  const [here, there] = await Promise.all([startTeller(settings), startTeller(settings)]);
  const crowd = await openCrowd({ port: there.port, path: '/ws', count: listeners });
  try {
    await eventually(async () => (await here.problem()) === null && (await there.problem()) === null);
    const warmUp = eventsPerSecond;
    const early = await here.tell({ first: 0, count: warmUp, perSecond: eventsPerSecond });
    const pids = [here.pid, there.pid] as const;
    const before = pids.map((pid) => cpuSeconds([pid]));
    const count = seconds * eventsPerSecond;
    const toldMs = early.concat(await here.tell({ first: warmUp, count, perSecond: eventsPerSecond }));
    const took = ((toldMs.at(-1) ?? 0) - (toldMs[warmUp] ?? 0)) / 1_000;
    const [telling = 0, hearing = 0] = pids.map(
      (pid, index) => (cpuSeconds([pid]) - (before[index] ?? 0)) / took,
    );
    const memory = [memoryMiB([here.pid]), memoryMiB([there.pid])] as const;
    await crowd.drained(toldMs.length * listeners);
    const heard = await crowd.report(toldMs.length);
    const { p50, p95, missed, messages } = judge(heard, toldMs, warmUp, listeners);
    return {
      listeners,
      eventsPerSecond,
      arrivedPerSecond: (messages - missed) / listeners / took,
      missed,
      p50,
      p95,
      loss: lossOf(heard),
      cores: [telling, hearing],
      memoryMiB: memory,
    };
  } finally {
    crowd.stop();
    here.stop();
    there.stop();
    await redis.remove();
  }
}

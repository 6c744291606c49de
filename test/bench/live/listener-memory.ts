import { setTimeout as delay } from 'node:timers/promises';
import { memoryMiB } from '../process-tree.js';
import { openCrowd } from './crowd.js';
import { startTeller } from './teller.js';

const listeners = 2_000;
/** The first listeners load code and warm caches. */
const warmUp = 100;

/** kB by which a gateway grows with each listener that hears nothing yet; a heap that events made large would hide it. */
export async function measureListener(): Promise<number> {
  const gateway = await startTeller(null);
  const first = await openCrowd({ port: gateway.port, path: '/ws', count: warmUp });
  try {
    const before = await lowest(gateway.pid);
    const crowd = await openCrowd({ port: gateway.port, path: '/ws', count: listeners });
    const after = await lowest(gateway.pid);
    crowd.stop();
    return ((after - before) * 1_048.576) / listeners;
  } finally {
    first.stop();
    gateway.stop();
  }
}

/** Of four looks within three seconds: what a collection is about to give back is not used. */
async function lowest(pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 4; look += 1) {
    await delay(750);
    least = Math.min(least, memoryMiB([pid]));
  }
  return least;
}

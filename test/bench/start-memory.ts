import { setTimeout as delay } from 'node:timers/promises';
import { startAppliance } from '../support/appliance.js';
import { memoryMiB } from './process-tree.js';

export interface StartMemory {
  readonly startSeconds: number;
  /** Node-RED, PostgreSQL and six virtual meters, each shared page counted once. */
  readonly idleMiB: number;
}

/** The start as a newcomer does it, with nothing set. */
export async function measureStart(): Promise<StartMemory> {
  const started = performance.now();
  const appliance = await startAppliance();
  try {
    const startSeconds = (performance.now() - started) / 1_000;
    // The virtual meters have sent their last day by then.
    await delay(8_000);
    return { startSeconds, idleMiB: memoryMiB([appliance.pid]) };
  } finally {
    await appliance.stop();
  }
}

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contestant } from './contestants/contestant.js';
import { meterIdOf, planFrom } from './load/reading-plan.js';
import { measure, type Lengths, type Measurements, type Scene } from './measure.js';
import { withServer } from './server.js';

export interface Entry extends Measurements {
  readonly name: string;
  readonly about: string;
}

interface Setting {
  readonly meters: number;
  readonly log: (line: string) => void;
}

/** One contestant's numbers. */
export async function compete(
  contestant: Contestant,
  { lengths, ...setting }: Setting & { readonly lengths: Lengths },
): Promise<Entry> {
  const measurements = await onStage(contestant, setting, (scene) => measure(scene, lengths));
  return { name: contestant.name, about: contestant.about, ...measurements };
}

/** One contestant on a fresh PostgreSQL of its own, alone on the machine; everything is stopped afterwards. */
export function onStage<T>(
  contestant: Contestant,
  { meters, log }: Setting,
  work: (scene: Scene) => Promise<T>,
): Promise<T> {
  return withServer(async (server, folder) => {
    const place = join(folder, 'contestant');
    await mkdir(place);
    const meterIds = Array.from({ length: meters }, (_, index) => meterIdOf(index));
    const running = await contestant.start({ databaseUrl: server.url, folder: place, meterIds, log });
    try {
      return await work({ running, server, databaseUrl: server.url, plan: planFrom(Date.now()), log });
    } finally {
      await running.stop();
    }
  });
}

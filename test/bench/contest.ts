import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedServer } from '../../src/database/embedded-server.js';
import type { EmbeddedServer } from '../../src/database/embedded-server.js';
import type { Contestant } from './contestants/contestant.js';
import { meterIdOf, planFrom } from './load/reading-plan.js';
import { measure, type Lengths, type Measurements, type Scene } from './measure.js';

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

/** A PostgreSQL as the product starts it, in a folder that goes with it. */
export async function withServer<T>(
  work: (server: EmbeddedServer, folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'meterflow-bench-'));
  const server = await startEmbeddedServer({ dataDir: join(folder, 'database'), log: () => undefined });
  // When the bench is interrupted: nothing of it stays behind.
  const kill = (): void => {
    process.kill(server.pid, 'SIGINT');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', kill);
  try {
    return await work(server, folder);
  } finally {
    process.off('exit', kill);
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedServer } from '../../src/database/embedded-server.js';
import type { Contestant } from './contestants/contestant.js';
import { meterIdOf, planFrom } from './load/reading-plan.js';
import { measure, type Lengths, type Measurements } from './measure.js';

export interface Entry extends Measurements {
  readonly name: string;
  readonly about: string;
}

/** One contestant on a fresh PostgreSQL of its own, alone on the machine; everything is stopped afterwards. */
export async function compete(
  contestant: Contestant,
  { meters, lengths, log }: { meters: number; lengths: Lengths; log: (line: string) => void },
): Promise<Entry> {
  const folder = await mkdtemp(join(tmpdir(), 'meterflow-bench-'));
  const place = join(folder, 'contestant');
  await mkdir(place);
  const server = await startEmbeddedServer({ dataDir: join(folder, 'database'), log: () => undefined });
  // When the bench is interrupted: nothing of it stays behind.
  const kill = (): void => {
    process.kill(server.pid, 'SIGINT');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', kill);
  try {
    const meterIds = Array.from({ length: meters }, (_, index) => meterIdOf(index));
    const running = await contestant.start({ databaseUrl: server.url, folder: place, meterIds, log });
    try {
      const plan = planFrom(Date.now());
      const measurements = await measure({ running, server, databaseUrl: server.url, plan, lengths, log });
      return { name: contestant.name, about: contestant.about, ...measurements };
    } finally {
      await running.stop();
    }
  } finally {
    process.off('exit', kill);
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

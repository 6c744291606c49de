import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/database/embedded-server.js';

/** A PostgreSQL on the disk that can forget what it has read. */
export interface BenchServer {
  /** Changes when it is chilled. */
  readonly url: string;
  readonly pid: number;
  /** Stopped, its files dropped from the kernel's cache, started again. */
  chill(): Promise<void>;
}

const run = promisify(execFile);

/** A PostgreSQL as the product starts it, in a folder on the disk that goes with it. */
export async function withServer<T>(work: (server: BenchServer, folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'meterflow-bench-'));
  const dataDir = join(folder, 'database');
  const open = (): Promise<EmbeddedServer> => startEmbeddedServer({ dataDir, log: () => undefined });
  let server: EmbeddedServer | null = null;
  const kill = (): void => {
    if (server !== null) process.kill(server.pid, 'SIGINT');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', kill);
  try {
    let current = (server = await open());
    return await work(
      {
        get url() {
          return current.url;
        },
        get pid() {
          return current.pid;
        },
        async chill() {
          await current.stop();
          await dropFromCache(dataDir);
          current = server = await open();
        },
      },
      folder,
    );
  } finally {
    process.off('exit', kill);
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of these files alone, so that nobody else on the machine is disturbed; a host below it may still have them. */
async function dropFromCache(folder: string): Promise<void> {
  const drop = ['dd', 'if={}', 'iflag=nocache', 'count=0', 'status=none', ';'];
  await run('find', [folder, '-type', 'f', '-size', '+0', '-exec', ...drop], { timeout: 120_000 });
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { findPackage, linkBinaries } from './embedded/binaries.js';
import { prepareCluster, superuser } from './embedded/cluster.js';
import { lockFolder } from './embedded/lock.js';
import { openLogFile } from './embedded/log-file.js';
import { choosePort } from './embedded/port.js';
import { startPostmaster, type Postmaster } from './embedded/postmaster.js';
import { stopOrphans } from './embedded/processes.js';
import { prepareFolder } from './embedded/folder.js';
import { createRunner } from './embedded/runner.js';

export interface EmbeddedServer {
  readonly url: string;
  /** Of its first process; changes when it had to be started again. */
  readonly pid: number;
  /** Ends within 7 s, and leaves no process. */
  stop(): Promise<void>;
}

export interface EmbeddedServerOptions {
  /** PostgreSQL lives in `postgresql` below it. */
  readonly dataDir: string;
  /** One line per step that takes time or went wrong. */
  readonly log: (line: string) => void;
  /** Further settings of the server; for tests. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** On the command line, so that nothing in the data folder can go stale. */
const presets = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'on', // [M-13]
  synchronous_commit: 'on',
  shared_buffers: '64MB',
  max_connections: '60',
  io_method: 'sync', // no worker processes
  max_wal_size: '2GB',
  wal_compression: 'on',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
};

const startTimeoutMs = 300_000;
const databaseName = 'meterflow';

/**
 * A real PostgreSQL on 127.0.0.1 with its data below `dataDir`. It is started again when it ends by itself.
 * @throws DomainError CONFIGURATION when it cannot run here or the folder is in use; DATABASE_UNAVAILABLE when it does
 * not come up
 */
export async function startEmbeddedServer({
  dataDir,
  log,
  settings,
}: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const folder = await prepareFolder(join(dataDir, 'postgresql'));
  const lock = await lockFolder(folder);
  try {
    const binaries = await linkBinaries(findPackage(), folder);
    const runner = await createRunner(binaries, folder);
    const { data, password } = await prepareCluster(folder, binaries, runner, log);
    const port = await choosePort(join(folder, 'port'));
    const adminUrl = urlOf(password, port, 'postgres');
    const file = openLogFile(join(folder, 'postgresql.log'));
    const args = Object.entries({ ...presets, port, ...settings }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ]);
    const start = async (): Promise<Postmaster> => {
      const orphans = await stopOrphans(data);
      if (orphans.length > 0)
        log(`stopped PostgreSQL (pid ${orphans.join(', ')}), left by a process that was killed`);
      return startPostmaster({
        start: () => runner.start(binaries.postgres, ['-D', data, ...args]),
        data,
        url: adminUrl,
        log: file,
        timeoutMs: startTimeoutMs,
      });
    };
    const supervised = await supervise(start, log);
    await ensureDatabase(adminUrl);
    return {
      url: urlOf(password, port, databaseName),
      get pid() {
        return supervised.pid;
      },
      async stop() {
        await supervised.stop();
        file.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The address of the server that runs, or ran last, below `dataDir`; undefined when there never was one. */
export async function embeddedUrl(dataDir: string): Promise<string | undefined> {
  const [password, port] = await Promise.all(
    ['password', 'port'].map((name) =>
      readFile(join(dataDir, 'postgresql', name), 'utf8').catch(() => undefined),
    ),
  );
  if (password === undefined || port === undefined) return undefined;
  return urlOf(password.trim(), Number(port), databaseName);
}

function urlOf(password: string, port: number, database: string): string {
  return `postgres://${superuser}:${password}@127.0.0.1:${port}/${database}`;
}

/** Keeps one running: after a full disk, or the kernel's out-of-memory killer, nobody has to start it by hand. */
async function supervise(
  start: () => Promise<Postmaster>,
  log: (line: string) => void,
): Promise<{ readonly pid: number; stop(): Promise<void> }> {
  const stopping = new AbortController();
  let current = await start();

  async function watch(): Promise<void> {
    await current.ended;
    for (let waitMs = 100; !stopping.signal.aborted; waitMs = Math.min(2 * waitMs, 5_000)) {
      log('PostgreSQL has ended by itself; starting it again');
      await delay(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        current = await start();
        return watch();
      } catch (error) {
        log(error instanceof Error ? error.message : String(error));
      }
    }
  }

  const watching = watch();
  return {
    get pid() {
      return current.pid;
    },
    async stop() {
      stopping.abort();
      await current.stop();
      await watching;
      await current.stop(); // a restart may have been under way
    },
  };
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new Client({ connectionString: url, query_timeout: 60_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [databaseName]);
    if (rowCount === 0) await client.query(`create database ${databaseName}`);
  } finally {
    await client.end();
  }
}

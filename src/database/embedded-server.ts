import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { DomainError } from '../errors.js';
import { findPackage, linkBinaries } from './embedded/binaries.js';
import { prepareCluster, superuser } from './embedded/cluster.js';
import { createRunner } from './embedded/runner.js';

export interface EmbeddedServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface EmbeddedServerOptions {
  readonly dataDir: string;
  readonly log: (line: string) => void;
  /** Further settings of the server; for tests. */
  readonly settings?: Readonly<Record<string, string>>;
}

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '64MB',
  max_connections: '60',
  io_method: 'sync',
  max_wal_size: '2GB',
  wal_compression: 'on',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const folder = join(options.dataDir, 'postgresql');
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const binaries = await linkBinaries(findPackage(), folder);
  const runner = await createRunner(binaries, folder);
  const { data, password } = await prepareCluster(folder, binaries, runner);
  const port = await freePort();
  const args = Object.entries({ ...settings, port: String(port), ...options.settings }).flatMap(
    ([name, value]) => ['-c', `${name}=${value}`],
  );
  const child = runner.start(binaries.postgres, ['-D', data, ...args]);
  child.stdout?.resume();
  child.stderr?.on('data', (text: Buffer) => options.log(text.toString().trimEnd()));
  const exited = once(child, 'exit');
  const url = `postgres://${superuser}:${password}@127.0.0.1:${port}`;
  for (;;) {
    const client = new Client({ connectionString: `${url}/postgres` });
    client.on('error', () => {});
    try {
      await client.connect();
      const { rowCount } = await client.query(`select 1 from pg_database where datname = 'meterflow'`);
      if (rowCount === 0) await client.query('create database meterflow');
      await client.end();
      break;
    } catch (cause) {
      if (child.exitCode !== null)
        throw new DomainError('CONFIGURATION', 'PostgreSQL did not start', { cause });
      await delay(50);
    }
  }
  return {
    url: `${url}/meterflow`,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGINT');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

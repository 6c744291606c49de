import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { freePort, listens } from './ports.js';

export interface RedisServer {
  readonly port: number;
  /** `redis://127.0.0.1:port`, or rediss:// */
  readonly url: string;
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP: it neither answers nor closes anything. */
  freeze(): void;
  thaw(): void;
  remove(): Promise<void>;
}

export interface RedisOptions {
  readonly password?: string;
  /** Its plain port is closed then. */
  readonly tls?: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
}

/** A real Redis on a free port of 127.0.0.1 that keeps nothing. */
export async function startRedis({ password, tls }: RedisOptions = {}): Promise<RedisServer> {
  const program = ['/usr/bin/redis-server', '/usr/local/bin/redis-server', '/usr/bin/valkey-server'].find(
    existsSync,
  );
  if (program === undefined) throw new Error('Redis is missing: apt-get install -y redis-server');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'meterflow-redis-'));
  const plain = tls === undefined ? String(port) : '0';
  const options = [
    '--bind',
    '127.0.0.1',
    '--port',
    plain,
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  if (password !== undefined) options.push('--requirepass', password);
  if (tls !== undefined) {
    options.push('--tls-port', String(port), '--tls-auth-clients', 'no');
    options.push('--tls-ca-cert-file', tls.caFile);
    options.push('--tls-cert-file', tls.certFile, '--tls-key-file', tls.keyFile);
  }
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    let said = '';
    const started = spawn(program ?? '', options, { stdio: ['ignore', 'pipe', 'pipe'] });
    started.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child = started;
    await eventually(() => {
      if (started.exitCode !== null) throw new Error(`Redis ended: ${said}`);
      return listens(port);
    });
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill(signal);
    await gone;
  }

  await start();
  return {
    port,
    url: `${tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${port}`,
    start,
    stop,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async remove() {
      await stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

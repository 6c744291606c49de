import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { eventually } from './eventually.js';
import { freePort } from './ports.js';

export interface TestNats {
  readonly port: number;
  readonly url: string;
  /** Its folder: for files that its configuration names. */
  readonly folder: string;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** With what it stored, unless `empty`. */
  start(how?: { readonly empty?: boolean }): Promise<void>;
  /** A copy of what it stored, made while it is stopped. */
  backup(): Promise<string>;
  restore(backup: string): Promise<void>;
  remove(): Promise<void>;
}

export interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly payload: Buffer;
  readonly header: (name: string) => string;
}

/** A real nats-server with JetStream on a free port of 127.0.0.1; `config` is added to its configuration. */
export async function startNats(config: (folder: string) => string = () => ''): Promise<TestNats> {
  const program = ['/usr/sbin/nats-server', '/usr/local/bin/nats-server', '/usr/bin/nats-server'].find(
    existsSync,
  );
  if (program === undefined) throw new Error('nats-server is missing: apt-get install -y nats-server');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'meterflow-nats-'));
  const store = join(folder, 'store');
  const file = join(folder, 'nats.conf');
  writeFileSync(file, `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${store} }\n${config(folder)}\n`);
  let child: ChildProcess | undefined;

  async function start({ empty = false } = {}): Promise<void> {
    if (empty) rmSync(store, { recursive: true, force: true });
    let said = '';
    const started = spawn(program ?? '', ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    started.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child = started;
    await eventually(() => {
      if (started.exitCode !== null) throw new Error(`nats-server ended: ${said}`);
      return answers(port);
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

  // Also when a run ends in the middle.
  const kill = (): void => void child?.kill('SIGKILL');
  process.once('exit', kill);
  await start();
  return {
    port,
    url: `nats://127.0.0.1:${port}`,
    folder,
    start,
    stop,
    async backup() {
      const copy = mkdtempSync(join(folder, 'backup-'));
      await cp(store, copy, { recursive: true });
      return copy;
    },
    async restore(backup) {
      rmSync(store, { recursive: true, force: true });
      await cp(backup, store, { recursive: true });
    },
    async remove() {
      process.off('exit', kill);
      await stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1');
    // Its greeting, not only its port.
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
    socket.setTimeout(1_000, () => {
      socket.destroy();
      resolve(false);
    });
  });
}

export async function withManager<T>(
  nats: Pick<TestNats, 'url'>,
  work: (manager: JetStreamManager, connection: NatsConnection) => Promise<T>,
  options: ConnectionOptions = {},
): Promise<T> {
  const connection = await connect({ servers: nats.url, ...options });
  try {
    return await work(await jetstreamManager(connection), connection);
  } finally {
    await connection.close();
  }
}

/** All of a stream, in its order; none when the stream is not there. */
export function storedIn(
  nats: Pick<TestNats, 'url'>,
  stream = 'METERFLOW',
  options: ConnectionOptions = {},
): Promise<StoredMessage[]> {
  return withManager(
    nats,
    async (manager) => {
      const info = await manager.streams.info(stream).catch(() => null);
      const messages: StoredMessage[] = [];
      if (info === null || info.state.messages === 0) return messages;
      for (let seq = info.state.first_seq; seq <= info.state.last_seq; seq += 200) {
        const seqs = Array.from(
          { length: Math.min(200, info.state.last_seq - seq + 1) },
          (_, at) => seq + at,
        );
        const found = await Promise.all(
          seqs.map((one) => manager.streams.getMessage(stream, { seq: one }).catch(() => null)),
        );
        for (const message of found) {
          if (message === null) continue;
          const { header } = message;
          messages.push({
            seq: message.seq,
            subject: message.subject,
            payload: Buffer.from(message.data),
            header: (name) => header.get(name),
          });
        }
      }
      return messages;
    },
    options,
  );
}

/** How many messages a stream holds; 0 when it is not there. */
export function countIn(nats: Pick<TestNats, 'url'>, stream = 'METERFLOW'): Promise<number> {
  return withManager(nats, async (manager) => {
    const info = await manager.streams.info(stream).catch(() => null);
    return info?.state.messages ?? 0;
  });
}

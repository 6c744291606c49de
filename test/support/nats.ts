import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { startService } from './service.js';

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
  const service = await startService({
    programs: ['nats-server'],
    prepare(port, folder) {
      const file = join(folder, 'nats.conf');
      const store = storeIn(folder);
      writeFileSync(
        file,
        `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${store} }\n${config(folder)}\n`,
      );
      return ['-c', file];
    },
    answers,
  });
  const { port, folder } = service;
  const store = storeIn(folder);
  return {
    ...service,
    url: `nats://127.0.0.1:${port}`,
    async start({ empty = false } = {}) {
      if (empty) rmSync(store, { recursive: true, force: true });
      await service.start();
    },
    async backup() {
      const copy = mkdtempSync(join(folder, 'backup-'));
      await cp(store, copy, { recursive: true });
      return copy;
    },
    async restore(backup) {
      rmSync(store, { recursive: true, force: true });
      await cp(backup, store, { recursive: true });
    },
  };
}

function storeIn(folder: string): string {
  return join(folder, 'store');
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

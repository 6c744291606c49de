import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { DomainError } from '../../errors.js';

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * One process per data folder. The lock is a socket in Linux's abstract namespace: the kernel frees it with the
 * process, however that ends, so that there is no stale lock file to judge. Whoever asks it is told who holds it.
 * @throws DomainError CONFIGURATION naming the process that has the folder
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = await realpath(folder);
  const address = `\0meterflow-${createHash('sha256').update(path).digest('hex')}`;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(`pid ${process.pid}`);
  });
  try {
    server.listen(address);
    await once(server, 'listening');
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE')) throw cause;
    const holder = await askHolder(address);
    throw new DomainError(
      'CONFIGURATION',
      `Meterflow is already running on ${path} (${holder}). Stop it first, or set DATA_DIR to another folder.`,
      { cause },
    );
  }
  server.unref();
  return {
    async release() {
      server.close();
      await once(server, 'close');
    },
  };
}

async function askHolder(address: string): Promise<string> {
  const socket = connect(address);
  socket.setTimeout(1_000, () => socket.destroy());
  try {
    return (await text(socket)) || 'another process';
  } catch {
    return 'another process';
  }
}

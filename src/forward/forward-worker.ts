import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { ForwardThread } from './forward-thread.js';
import type { FromThread, ThreadSettings, ToThread } from './thread-talk.js';

// The thread's whole life: forward until told to close.

/** Under full load the kernel gives three times as much to those who take in and store; the backlog is caught up later. */
const nice = 5;

function yieldToIngestion(): void {
  try {
    // Linux knows threads by a number of their own; elsewhere this thread is like any other.
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), nice);
  } catch {
    // No /proc, or not allowed.
  }
}

function say(message: FromThread): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
  parentPort?.postMessage(message);
}

yieldToIngestion();
const thread = new ForwardThread(workerData as ThreadSettings, say);
parentPort?.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'row':
      thread.hand({ ...message.row, body: bufferOf(message.row.body) });
      return say({ kind: 'took', bytes: message.row.body.byteLength });
    case 'passed':
      thread.pass(bufferOf(message.body));
      return say({ kind: 'took', bytes: message.body.byteLength });
    case 'pace':
      return thread.pace(message.perSecond);
    case 'close':
      void close();
  }
});

async function close(): Promise<void> {
  await thread.close();
  say({ kind: 'closed' });
  parentPort?.close();
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

import { extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { deliveries } from '../broker/deliveries.js';
import { openDatabase } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import { ForwardJournal } from './journal.js';
import type { JournalRow } from './journal-store.js';
import type { DropReason, ForwardState, FromThread, ThreadSettings, ToThread } from './thread-talk.js';

export type { ForwardState, ThreadSettings } from './thread-talk.js';

/** What a forwarder tells whoever shows it. */
export interface ForwardListener {
  /** About twice a second, when there were any: of QoS 1 and 2, and of QoS 0. */
  forwarded(messages: number, passed: number): void;
  dropped(messages: number, reason: DropReason, details: string): void;
  log(level: 'info' | 'warn', line: string): void;
}

export interface Forwarder {
  readonly journal: ForwardJournal;
  readonly state: ForwardState;
  /** Null: nobody looks at the moment. */
  listen(listener: ForwardListener | null): void;
  close(): Promise<void>;
}

/** Bytes on their way to the thread; beyond, rows are read from the database instead, and QoS 0 is dropped. */
const handedBytesMax = 16 * 1024 * 1024;
/**
 * So many deliveries wait for the database: every core is wanted for them. Forwarding slows down until they are less,
 * and catches up afterwards.
 */
const busyInflight = 1_500;
const busyPerSecond = 2_000;
const lookEveryMs = 50;
const restartMs = 1_000;
const journalCloseMs = 2_000;
const threadCloseMs = 4_000;

/**
 * From now on every accepted message is in the journal before it is acknowledged, and a thread takes it to JetStream.
 * The journal has connections of its own: a Deploy closes those of the flow.
 */
export function startForwarder(settings: ThreadSettings): Forwarder {
  const database = openDatabase({
    url: settings.databaseUrl,
    connectionsMax: 2,
    applicationName: 'meterflow journal',
  });
  let listener: ForwardListener | null = null;
  let thread: Worker | null = null;
  let handedBytes = 0;
  let closed: (() => void) | null = null;
  let restart: NodeJS.Timeout | undefined;
  let state: ForwardState = {
    isConnected: false,
    problem: null,
    differences: [],
    backlog: 0,
    lagMs: 0,
    lanes: 0,
  };

  function start(): void {
    handedBytes = 0;
    isBusy = false;
    const worker = startWorker(settings);
    thread = worker;
    worker.on('message', hear);
    const lost = (cause: unknown): void => {
      if (thread !== worker) return;
      thread = null;
      closed?.();
      if (closed !== null) return;
      state = { ...state, isConnected: false, problem: 'the forwarding thread ended' };
      listener?.log('warn', `The thread that forwards to NATS ended and is started again: ${String(cause)}`);
      restart = setTimeout(start, restartMs);
    };
    worker.on('error', lost);
    worker.on('exit', (code) => lost(`exit code ${code}`));
  }

  let isBusy = false;
  const look = setInterval(() => {
    const now = deliveries.inflight > busyInflight;
    if (now === isBusy) return;
    isBusy = now;
    say({ kind: 'pace', perSecond: isBusy ? busyPerSecond : null });
  }, lookEveryMs).unref();

  function say(message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    thread?.postMessage(message);
  }

  function hear(message: FromThread): void {
    switch (message.kind) {
      case 'took':
        handedBytes -= message.bytes;
        return;
      case 'state':
        ({ state } = message);
        metrics.forwardBacklog.set(state.backlog);
        metrics.forwardLag.set(state.lagMs / 1000);
        metrics.forwardConnected.set(state.isConnected ? 1 : 0);
        return;
      case 'forwarded':
        metrics.forwarded.inc({ qos: '1' }, message.messages);
        metrics.forwarded.inc({ qos: '0' }, message.passed);
        for (const ms of message.lagsMs) metrics.forwardSeconds.observe(ms / 1000);
        listener?.forwarded(message.messages, message.passed);
        return;
      case 'dropped':
        return dropped(message.messages, message.reason, message.details);
      case 'log':
        return listener?.log(message.level, message.line);
      case 'closed':
        return closed?.();
    }
  }

  function dropped(messages: number, reason: DropReason, details: string): void {
    metrics.forwardDropped.inc({ reason }, messages);
    listener?.dropped(messages, reason, details);
  }

  /** False: too much is on its way already. */
  function tell(message: ToThread & { kind: 'row' | 'passed' }): boolean {
    const { body } = message.kind === 'row' ? message.row : message;
    if (thread === null || handedBytes + body.byteLength > handedBytesMax) return false;
    handedBytes += body.byteLength;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    thread.postMessage(message, [body.buffer as ArrayBuffer]);
    return true;
  }

  const journal = new ForwardJournal(database, {
    lane: settings.instance,
    onWritten: (row: JournalRow) => void tell({ kind: 'row', row }),
    onPassed(messages, body) {
      if (!tell({ kind: 'passed', messages, body }))
        dropped(messages, 'qos 0', 'the forwarding thread is behind');
    },
    log: (line) => listener?.log('warn', line),
  });
  start();
  deliveries.keepJournal(journal);
  return {
    journal,
    get state() {
      return state;
    },
    listen: (next) => (listener = next),
    async close() {
      clearTimeout(restart);
      clearInterval(look);
      // Another one may have taken its place.
      if (deliveries.journal === journal) deliveries.keepJournal(null);
      await journal.close(journalCloseMs);
      await endThread();
      await database.close();
    },
  };

  async function endThread(): Promise<void> {
    const worker = thread;
    if (worker === null) return;
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, threadCloseMs);
      closed = () => {
        clearTimeout(late);
        resolve();
      };
      say({ kind: 'close' });
    });
    await worker.terminate();
  }
}

/** Beside this file: compiled in dist/, or as it is under tests. */
function startWorker(workerData: ThreadSettings): Worker {
  const extension = extname(__filename);
  const execArgv = extension === '.ts' ? ['--require', 'tsx/cjs'] : [];
  // Nearly all that a message makes is gone when JetStream has it: rarely collected, it costs a third less.
  const resourceLimits = { maxYoungGenerationSizeMb: 64 };
  return new Worker(join(__dirname, `forward-worker${extension}`), { execArgv, workerData, resourceLimits });
}

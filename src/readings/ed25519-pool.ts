import { availableParallelism } from 'node:os';
import { extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DomainError } from '../errors.js';

export interface SignatureJob {
  /** 64 hex digits. */
  readonly publicKey: string;
  readonly message: string;
  /** 128 hex digits. */
  readonly signature: string;
}

/** What a thread gets at a time: small enough that others need not wait long, large enough to be worth the way. */
export interface SignatureSlice {
  readonly id: number;
  readonly jobs: readonly SignatureJob[];
}

/** Verifies Ed25519 signatures in threads of their own: 70 to 100 µs each would stop the event loop. */
export interface Ed25519Pool {
  /**
   * One answer per job. @throws DomainError VERIFIER_BUSY when too many wait already, or the deadline passes; the
   * reason of the signal when that aborts.
   */
  verify(jobs: readonly SignatureJob[], wait: { readonly signal: AbortSignal }): Promise<boolean[]>;
  /** Signatures that wait or are being verified. */
  readonly waiting: number;
  close(): Promise<void>;
}

export interface Ed25519PoolOptions {
  readonly threads?: number;
  /** Most signatures that wait. One call may be larger, when nothing else waits. */
  readonly waitingMax?: number;
  readonly deadlineMs?: number;
}

const sliceSize = 32;
/** The next slice is there when a thread has finished one. */
const slicesAhead = 2;

interface Call {
  readonly results: boolean[];
  /** Slices without an answer. */
  open: number;
  ended: boolean;
  end(failure?: unknown): void;
}

interface Task {
  readonly slice: SignatureSlice;
  readonly from: number;
  readonly call: Call;
}

interface Thread {
  readonly worker: Worker;
  readonly tasks: Map<number, Task>;
}

/** Threads are started by the first signature and end with `close`; an idle pool costs nothing. */
export function createEd25519Pool(options: Ed25519PoolOptions = {}): Ed25519Pool {
  const { waitingMax = 50_000, deadlineMs = 30_000 } = options;
  const threadsMax = options.threads ?? Math.max(1, Math.min(4, availableParallelism() - 1));
  const threads = new Set<Thread>();
  const queue: Task[] = [];
  let waiting = 0;
  let nextId = 1;
  let closed = false;

  function start(): Thread {
    const thread: Thread = { worker: startWorker(), tasks: new Map() };
    thread.worker.unref();
    thread.worker.on('message', ({ id, right }: { id: number; right: Uint8Array }) => {
      const task = thread.tasks.get(id);
      thread.tasks.delete(id);
      if (task !== undefined) finish(task, right);
      pump();
    });
    const lost = (cause: unknown): void => {
      threads.delete(thread);
      for (const { call } of thread.tasks.values()) {
        call.end(new DomainError('INTERNAL', 'A thread that verifies signatures ended.', { cause }));
      }
      thread.tasks.clear();
      pump();
    };
    thread.worker.on('error', lost);
    thread.worker.on('exit', (code) => lost(new Error(`exit code ${code}`)));
    threads.add(thread);
    return thread;
  }

  function finish({ from, call }: Task, right: Uint8Array): void {
    right.forEach((one, index) => (call.results[from + index] = one === 1));
    call.open--;
    if (call.open === 0) call.end();
  }

  function pump(): void {
    if (closed) return;
    while (queue.length > 0) {
      const thread = idlest();
      if (thread === undefined) return;
      const task = queue.shift();
      // Nobody waits for it any more.
      if (task === undefined || task.call.ended) continue;
      thread.tasks.set(task.slice.id, task);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
      thread.worker.postMessage(task.slice);
    }
  }

  /** A new thread rather than a second slice for a busy one. */
  function idlest(): Thread | undefined {
    let best: Thread | undefined;
    for (const thread of threads) {
      if (best === undefined || thread.tasks.size < best.tasks.size) best = thread;
    }
    if ((best === undefined || best.tasks.size > 0) && threads.size < threadsMax) return start();
    return best !== undefined && best.tasks.size < slicesAhead ? best : undefined;
  }

  return {
    get waiting() {
      return waiting;
    },
    async verify(jobs, { signal }) {
      signal.throwIfAborted();
      if (jobs.length === 0) return [];
      if (closed) throw busy('The verifier is closed.');
      if (waiting > 0 && waiting + jobs.length > waitingMax)
        throw busy(`${waiting} signatures wait already.`);
      waiting += jobs.length;
      const stop = new AbortController();
      try {
        return await new Promise<boolean[]>((resolve, reject) => {
          const results = Array.from({ length: jobs.length }, () => false);
          const call: Call = {
            results,
            open: Math.ceil(jobs.length / sliceSize),
            ended: false,
            end(failure) {
              call.ended = true;
              if (failure === undefined) resolve(results);
              else reject(failure);
            },
          };
          const timer = setTimeout(
            () => call.end(busy(`They were not verified within ${deadlineMs / 1000} s.`)),
            deadlineMs,
          );
          stop.signal.addEventListener('abort', () => clearTimeout(timer));
          signal.addEventListener('abort', () => call.end(signal.reason), { signal: stop.signal });
          for (let from = 0; from < jobs.length; from += sliceSize) {
            queue.push({ slice: { id: nextId++, jobs: jobs.slice(from, from + sliceSize) }, from, call });
          }
          pump();
        });
      } finally {
        stop.abort();
        waiting -= jobs.length;
      }
    },
    async close() {
      closed = true;
      const failure = busy('The verifier is closed.');
      for (const { call } of queue.splice(0)) call.end(failure);
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

function busy(why: string): DomainError {
  return new DomainError('VERIFIER_BUSY', `Too many Ed25519 signatures at once: ${why}`);
}

/** Beside this file: compiled in dist/, or as it is under tests. */
function startWorker(): Worker {
  const extension = extname(__filename);
  const execArgv = extension === '.ts' ? ['--require', 'tsx/cjs'] : [];
  return new Worker(join(__dirname, `ed25519-worker${extension}`), { execArgv });
}

import type { ConnectionOptions, PgBoss } from 'pg-boss';
import type { Database, Session } from '../database/database.js';
import { asFailure } from '../database/failures.js';
import { DomainError } from '../errors.js';
import { logger } from '../operation/logging.js';

/** The name of the queue in pg-boss. */
const queueName = 'meter-batch-worker';

/** A job that this process has claimed. */
export interface Job {
  /** Of the job and of its batch. */
  readonly id: string;
  /** How often it has been claimed before. */
  readonly retryCount: number;
  /** It fails for good when it fails now. */
  readonly last: boolean;
}

/** pg-boss, loaded by the first call; a submission rehearses before the first caller comes. */
export interface Queue {
  /** Loads it now: some 4 MB, and 150 ms that the first submission is spared. */
  warm(): Promise<void>;
  /** Belongs into the transaction of the batch: never one without the other. */
  send(tx: Session, id: string, retriesMax: number): Promise<void>;
  /** In a transaction: a claim whose answer got lost must not keep the job from others until its heartbeat is missed. */
  claim(tx: Session, max: number): Promise<Job[]>;
  /** Says that this process still works on them; without it for `heartbeatSeconds` another one takes over. */
  touch(jobs: readonly Job[]): Promise<void>;
  complete(tx: Session, job: Job): Promise<void>;
  /** It waits for its next attempt, exponentially longer each time, or has failed when this was the last one. */
  fail(tx: Session, job: Job, reason: string): Promise<void>;
  /** Back to those that wait, at once. */
  giveBack(tx: Session, ids: readonly string[]): Promise<void>;
  /** True when pg-boss has given the job up, or knows nothing of it. */
  isLost(id: string): Promise<boolean>;
}

const heartbeatSeconds = 30;
const options = {
  retryDelay: 1,
  retryBackoff: true,
  retryDelayMax: 300,
  heartbeatSeconds,
  // Far above any run: heartbeats tell the dead from the slow, and a run may hold while the database is away.
  expireInSeconds: 6 * 3600,
  retentionSeconds: 14 * 86_400,
  deleteAfterSeconds: 86_400,
} as const;

interface Shared {
  readonly queue: Queue;
  users: number;
  close(): Promise<void>;
}

const queues = new WeakMap<Database, Shared>();

/** The one queue of a database in this process. Release it as often as it was acquired. */
export function acquireQueue(database: Database): Queue {
  let shared = queues.get(database);
  if (shared === undefined) {
    shared = openQueue(database);
    queues.set(database, shared);
  }
  shared.users += 1;
  return shared.queue;
}

export async function releaseQueue(database: Database): Promise<void> {
  const shared = queues.get(database);
  if (shared === undefined) return;
  shared.users -= 1;
  if (shared.users > 0) return;
  queues.delete(database);
  await shared.close();
}

/**
 * Reads pg-boss into memory and lets it make its tables, while a start waits for other things: 0.2 to 0.5 s that the
 * first submission is spared. Never rejects: the first submission does it then, and says what is wrong.
 */
export async function prepareQueue(database: Database): Promise<void> {
  const queue = acquireQueue(database);
  try {
    await queue.warm().catch(() => undefined);
  } finally {
    await releaseQueue(database);
  }
}

function openQueue(database: Database): Shared {
  let starting: Promise<PgBoss> | undefined;
  const boss = (): Promise<PgBoss> => {
    starting ??= start(database).catch((error: unknown) => {
      starting = undefined;
      throw error;
    });
    return starting;
  };
  return {
    users: 0,
    queue: queueOn(boss),
    async close() {
      const opened = await starting?.catch(() => undefined);
      await opened?.stop({ graceful: false });
    },
  };
}

function queueOn(boss: () => Promise<PgBoss>): Queue {
  return {
    async warm() {
      await boss();
    },
    async send(tx, id, retryLimit) {
      await (await boss()).send(queueName, {}, { id, retryLimit, ...within(tx) });
    },
    async claim(tx, max) {
      const jobs = await (
        await boss()
      ).fetch(queueName, { batchSize: max, includeMetadata: true, ...within(tx) });
      return jobs.map(({ id, retryCount, retryLimit }) => ({
        id,
        retryCount,
        last: retryCount >= retryLimit,
      }));
    },
    async touch(jobs) {
      await (await boss()).touch(queueName, jobs.map(attemptOf));
    },
    async complete(tx, job) {
      await (await boss()).complete(queueName, attemptOf(job), undefined, within(tx));
    },
    async fail(tx, job, reason) {
      await (await boss()).fail(queueName, attemptOf(job), { reason }, within(tx));
    },
    async giveBack(tx, ids) {
      await (await boss()).cancel(queueName, [...ids], within(tx));
      await (await boss()).resume(queueName, [...ids], within(tx));
    },
    async isLost(id) {
      const [job] = await (await boss()).findJobs(queueName, { id });
      return job === undefined || job.state === 'failed' || job.state === 'cancelled';
    },
  };
}

async function start(database: Database): Promise<PgBoss> {
  const { PgBoss: Boss } = await load();
  const log = logger('batches');
  // A small pool of its own: its scripts need what our sessions hide. With the same deadlines as ours.
  const pool = {
    connectionString: database.url,
    application_name: 'meterflow batches',
    max: 3,
    idleTimeoutMillis: 5_000,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
    keepAlive: true,
    options: '-c timezone=UTC -c statement_timeout=10000',
  };
  const boss = new Boss({
    ...pool,
    schema: 'pgboss',
    schedule: false,
    reindex: false,
    monitorVacuum: false,
    superviseIntervalSeconds: 2 * heartbeatSeconds,
    monitorIntervalSeconds: 2 * heartbeatSeconds,
  });
  // Its timers report here while the database is away; without a listener that would end the process.
  boss.on('error', (error) => log.debug({ err: error }, 'pg-boss'));
  boss.on('warning', ({ message }) => log.debug(message));
  try {
    await boss.start();
    await boss.createQueue(queueName, options);
  } catch (error) {
    await boss.stop({ graceful: false }).catch(() => undefined);
    throw asFailure(error);
  }
  return boss;
}

async function load(): Promise<typeof import('pg-boss')> {
  try {
    return await import('pg-boss');
  } catch (cause) {
    throw new DomainError('CONFIGURATION', 'Batches need Node.js 22.12 or later.', { cause });
  }
}

/** Lets pg-boss take part in a transaction of ours. */
function within(tx: Session): Required<ConnectionOptions> {
  return {
    db: {
      async executeSql(text, values) {
        const { rows } = await tx.query<Record<string, unknown>>({
          text,
          ...(values === undefined ? {} : { values }),
        });
        return { rows };
      },
    },
  };
}

function attemptOf({ id, retryCount }: Job): { id: string; retryCount: number } {
  return { id, retryCount };
}

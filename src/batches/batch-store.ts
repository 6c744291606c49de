import type { Session } from '../database/database.js';
import { byIndex, type Batch, type BatchError, type KeptReading } from './batch.js';

/** Told to all instances when there is something to store. */
export const channel = 'reading_batches';

export interface NewBatch {
  readonly id: string;
  readonly total_submitted: number;
  readonly refused: readonly BatchError[];
  readonly readings: readonly KeptReading[];
  readonly caller: string;
  readonly idempotency_key: string | null;
  readonly body_sha256: Buffer;
}

/** Without readings it is done. @returns false when this key of this caller is taken */
export async function insertBatch(tx: Session, batch: NewBatch): Promise<boolean> {
  const open = batch.readings.length > 0;
  const { rowCount } = await tx.query({
    name: 'batch-insert',
    text: `insert into reading_batches
             (id, state, total_submitted, refused, readings, caller, idempotency_key, body_sha256, finished_at)
           values ($1, $2, $3, $4::jsonb, $5::jsonb, $6, $7, $8, case when $9::boolean then null else now() end)
           on conflict on constraint reading_batches_idempotency_key do nothing`,
    values: [
      batch.id,
      open ? 'queued' : 'done',
      batch.total_submitted,
      JSON.stringify(batch.refused),
      open ? JSON.stringify(batch.readings) : null,
      batch.caller,
      batch.idempotency_key,
      batch.body_sha256,
      open,
    ],
  });
  return rowCount > 0;
}

/** Leaves with the commit. */
export async function announceBatch(tx: Session, id: string): Promise<void> {
  await tx.query({ name: 'batch-announce', text: `select pg_notify('${channel}', $1)`, values: [id] });
}

export interface KnownSubmission {
  readonly id: string;
  readonly body_sha256: Buffer;
  readonly total_submitted: number;
  /** What was answered then. */
  readonly refused: readonly BatchError[];
}

export async function findByKey(
  session: Session,
  caller: string,
  key: string,
): Promise<KnownSubmission | undefined> {
  const { rows } = await session.query<KnownSubmission>({
    name: 'batch-by-key',
    text: `select id::text, body_sha256, total_submitted, refused from reading_batches
            where caller = $1 and idempotency_key = $2`,
    values: [caller, key],
  });
  return rows[0];
}

/** @param caller who submitted it; null: whoever did */
export async function getBatch(
  session: Session,
  id: string,
  caller: string | null = null,
): Promise<Batch | undefined> {
  const { rows } = await session.query<BatchRow>({
    name: 'batch-get',
    text: `select id::text, state, attempts, total_submitted, stored, refused, rejected, submitted_at, finished_at
             from reading_batches where id = $1::uuid and ($2::text is null or caller = $2)`,
    values: [id, caller],
  });
  return rows.map(asBatch)[0];
}

export interface Begun {
  readonly attempts: number;
  readonly readings: readonly KeptReading[];
  readonly submitted_at: Date;
}

/** undefined: it is finished already, or gone. */
export async function beginBatch(session: Session, id: string, worker: string): Promise<Begun | undefined> {
  const { rows } = await session.query<Begun>({
    name: 'batch-begin',
    text: `update reading_batches
              set state = 'running', attempts = attempts + 1, worker = $2, started_at = coalesce(started_at, now())
            where id = $1::uuid and state in ('queued', 'running', 'retrying')
        returning attempts, readings, submitted_at`,
    values: [id, worker],
  });
  return rows[0];
}

export interface Finish {
  readonly state: 'done' | 'failed';
  readonly stored: number;
  readonly rejected: readonly BatchError[];
}

/** The first to finish it counts; again changes nothing. */
export async function finishBatch(tx: Session, id: string, finish: Finish): Promise<Batch | undefined> {
  const { rows } = await tx.query<BatchRow>({
    name: 'batch-finish',
    text: `update reading_batches
              set state = $2, stored = $3, rejected = $4::jsonb, readings = null, worker = null, finished_at = now()
            where id = $1::uuid and state in ('queued', 'running', 'retrying')
        returning id::text, state, attempts, total_submitted, stored, refused, rejected, submitted_at, finished_at`,
    values: [id, finish.state, finish.stored, JSON.stringify(finish.rejected)],
  });
  return rows.map(asBatch)[0];
}

/** Waits for its next attempt, or for another worker. */
export async function postponeBatch(tx: Session, id: string, state: 'retrying' | 'queued'): Promise<void> {
  await tx.query({
    name: 'batch-postpone',
    text: `update reading_batches set state = $2, worker = null
            where id = $1::uuid and state in ('queued', 'running', 'retrying')`,
    values: [id, state],
  });
}

/** What an earlier life of this worker left running. */
export async function runningOf(session: Session, worker: string): Promise<string[]> {
  const { rows } = await session.query<{ id: string }>({
    name: 'batches-of-worker',
    text: `select id::text from reading_batches where state = 'running' and worker = $1`,
    values: [worker],
  });
  return rows.map(({ id }) => id);
}

/** Oldest first, those submitted at least `ageSeconds` ago. */
export async function unfinishedBatches(
  session: Session,
  ageSeconds: number,
  limit: number,
): Promise<string[]> {
  const { rows } = await session.query<{ id: string }>({
    name: 'batches-unfinished',
    text: `select id::text from reading_batches
            where state in ('queued', 'running', 'retrying') and submitted_at <= now() - $1::int * interval '1 second'
            order by submitted_at limit $2`,
    values: [ageSeconds, limit],
  });
  return rows.map(({ id }) => id);
}

/** Readings stay for ever; what is known of their submission does not. */
export async function forgetBatches(session: Session, days: number): Promise<void> {
  await session.query({
    name: 'batches-forget',
    text: `delete from reading_batches where finished_at < now() - $1::int * interval '1 day'`,
    values: [days],
  });
}

interface BatchRow {
  readonly id: string;
  readonly state: Batch['state'];
  readonly attempts: number;
  readonly total_submitted: number;
  readonly stored: number;
  readonly refused: readonly BatchError[];
  readonly rejected: readonly BatchError[];
  readonly submitted_at: Date;
  readonly finished_at: Date | null;
}

function asBatch(row: BatchRow): Batch {
  const errors = byIndex([...row.refused, ...row.rejected]);
  return {
    job_id: row.id,
    state: row.state,
    attempts: row.attempts,
    total_submitted: row.total_submitted,
    successful: row.total_submitted - errors.length,
    failed: errors.length,
    stored: row.stored,
    errors,
    submitted_at: row.submitted_at.toISOString(),
    finished_at: row.finished_at?.toISOString() ?? null,
  };
}

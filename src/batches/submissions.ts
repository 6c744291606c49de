import { createHash, randomUUID } from 'node:crypto';
import type { Database, Session } from '../database/database.js';
import { unavailable } from '../database/failures.js';
import { DomainError } from '../errors.js';
import { metrics } from '../operation/metrics.js';
import { findOwners } from '../readings/owners.js';
import { isRejection, type Reading } from '../readings/reading.js';
import type { Validator } from '../readings/validate.js';
import type { Verdicts, Verifier } from '../readings/verify.js';
import {
  announceBatch,
  findByKey,
  getBatch,
  insertBatch,
  type KnownSubmission,
  type NewBatch,
} from './batch-store.js';
import { isUuid } from '../uuid.js';
import { byIndex, keptReading, type Acceptance, type Batch, type BatchError } from './batch.js';
import type { Queue } from './queue.js';

export interface SubmissionOptions {
  readonly validator: Pick<Validator, 'validateOne'>;
  /** Knows the meters and their keys; without one the registry is asked, and signatures are not looked at. */
  readonly verifier?: Pick<Verifier, 'verify'> | undefined;
  /** Most readings of one submission; more are refused with 413. */
  readonly sizeMax?: number;
  /** Attempts after the first, before a batch fails. */
  readonly retriesMax?: number;
  /** Unix ms. */
  readonly now?: () => number;
}

export interface Submitter {
  readonly caller: string;
  /** The header Idempotency-Key: the same key with the same body is the same submission. */
  readonly key?: string | undefined;
}

export interface Submissions {
  /**
   * A submission of 1,000 readings that leaves no trace: what loads, compiles and prepares itself on first use does so
   * now (pg-boss above all, 0.2 s), and no caller waits for it. @throws DomainError DATABASE_UNAVAILABLE
   */
  rehearse(): Promise<void>;
  /**
   * Judges at once and leaves the storing to the workers, in the transaction that keeps the readings.
   * @throws DomainError SCHEMA_INVALID, PAYLOAD_TOO_LARGE, BAD_REQUEST, IDEMPOTENCY_KEY_REUSED, DATABASE_UNAVAILABLE
   */
  submit(body: unknown, by: Submitter): Promise<Acceptance>;
  /** @param caller who submitted it, null: whoever did @throws DomainError BATCH_UNKNOWN */
  get(job_id: string, caller?: string | null): Promise<Batch>;
}

/** Submission of many readings over HTTP ([H-7], [H-8]). */
export function createSubmissions(database: Database, queue: Queue, options: SubmissionOptions): Submissions {
  const { validator, verifier, sizeMax = 1000, retriesMax = 3, now = Date.now } = options;

  async function judge(inputs: readonly unknown[]): Promise<{ readings: Reading[]; refused: BatchError[] }> {
    const context = { source: 'batch', received_at: now() } as const;
    const refused: BatchError[] = [];
    const judged: Reading[] = [];
    for (const [index, input] of inputs.entries()) {
      const verdict = validator.validateOne(input, context);
      if ('code' in verdict) refused.push(errorOf(index, input, verdict.code, verdict.reason));
      else judged.push({ ...verdict, part: index });
    }
    const { valid, rejected } =
      verifier === undefined ? await findOwners(database, judged) : await verified(verifier, judged);
    for (const { part, code, reason } of rejected) refused.push(errorOf(part, inputs[part], code, reason));
    return { readings: valid, refused: byIndex(refused) };
  }

  /** @returns false when the key is taken */
  async function accept(tx: Session, batch: NewBatch): Promise<boolean> {
    if (!(await insertBatch(tx, batch))) return false;
    if (batch.readings.length === 0) return true;
    await queue.send(tx, batch.id, retriesMax);
    await announceBatch(tx, batch.id);
    return true;
  }

  return {
    async rehearse() {
      await queue.warm();
      const batch = rehearsal(validator, sizeMax, now());
      let isOver = false;
      const rolledBack = database.transaction(async (tx) => {
        await accept(tx, batch);
        isOver = true;
        throw new Error('only a rehearsal');
      });
      await rolledBack.catch((error: unknown) => {
        if (!isOver) throw error;
      });
    },

    async submit(body, { caller, key }) {
      const inputs = readingsOf(body, sizeMax);
      const body_sha256 = createHash('sha256').update(JSON.stringify(inputs)).digest();
      const idempotency_key = keyOf(key);
      const before = await submittedBefore(database, caller, idempotency_key, body_sha256);
      if (before !== null) return before;

      const { readings, refused } = await judge(inputs);
      const id = randomUUID();
      const total_submitted = inputs.length;
      const kept = readings.map(keptReading);
      const batch = { id, total_submitted, refused, readings: kept, caller, idempotency_key, body_sha256 };
      const inserted = await database.transaction((tx) => accept(tx, batch));
      if (!inserted) {
        // The same key came twice at once; the other one was first.
        const other = await submittedBefore(database, caller, idempotency_key, body_sha256);
        if (other !== null) return other;
      }
      metrics.batchesSubmitted.inc();
      metrics.batchReadings.observe(total_submitted);
      return acceptance({ id, total_submitted, refused });
    },

    async get(job_id, caller = null) {
      const batch = isUuid(job_id) ? await getBatch(database, job_id, caller) : undefined;
      if (batch === undefined)
        throw new DomainError('BATCH_UNKNOWN', `There is no batch "${job_id.slice(0, 50)}".`);
      return batch;
    },
  };
}

/** Of made-up readings, judged as real ones are. */
function rehearsal(validator: Pick<Validator, 'validateOne'>, count: number, received_at: number): NewBatch {
  const inputs = Array.from({ length: count }, (_, part) => ({
    meter_id: `rehearsal-${part}`,
    kwh_amount: 0.25,
    reading_timestamp: received_at - part,
  }));
  const body = JSON.stringify({ readings: inputs });
  const readings = readingsOf(JSON.parse(body), count)
    .map((input) => validator.validateOne(input, { source: 'batch', received_at }))
    .filter((verdict): verdict is Reading => !isRejection(verdict));
  return {
    id: randomUUID(),
    total_submitted: count,
    refused: [],
    readings: readings.map(keptReading),
    caller: 'rehearsal',
    idempotency_key: null,
    body_sha256: createHash('sha256').update(body).digest(),
  };
}

const verifyMs = 5_000;

/** A meter is held while the database is away; who waits for an answer hears of it. */
async function verified(verifier: Pick<Verifier, 'verify'>, readings: readonly Reading[]): Promise<Verdicts> {
  const signal = AbortSignal.timeout(verifyMs);
  try {
    return await verifier.verify(readings, { signal });
  } catch (error) {
    throw signal.aborted ? unavailable(error) : error;
  }
}

function readingsOf(body: unknown, sizeMax: number): readonly unknown[] {
  const readings =
    typeof body === 'object' && body !== null && 'readings' in body ? body.readings : undefined;
  if (!Array.isArray(readings) || readings.length === 0) {
    throw new DomainError('SCHEMA_INVALID', 'readings must be an array of at least one reading.', {
      details: [{ path: '/readings', message: 'must be an array of at least one reading' }],
    });
  }
  if (readings.length > sizeMax) {
    throw new DomainError(
      'PAYLOAD_TOO_LARGE',
      `The submission holds ${readings.length} readings; at most ${sizeMax} are allowed.`,
    );
  }
  return readings as unknown[];
}

function keyOf(key: string | undefined): string | null {
  if (key === undefined) return null;
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new DomainError('BAD_REQUEST', 'Idempotency-Key must be 1 to 255 visible ASCII characters.');
}

async function submittedBefore(
  database: Database,
  caller: string,
  key: string | null,
  body_sha256: Buffer,
): Promise<Acceptance | null> {
  const before = key === null ? undefined : await findByKey(database, caller, key);
  if (before === undefined) return null;
  if (before.body_sha256.equals(body_sha256)) return acceptance(before);
  throw new DomainError(
    'IDEMPOTENCY_KEY_REUSED',
    'This Idempotency-Key came with other readings before; a new submission needs a new key.',
  );
}

function acceptance({
  id,
  total_submitted,
  refused,
}: Pick<KnownSubmission, 'id' | 'total_submitted' | 'refused'>): Acceptance {
  return {
    job_id: id,
    total_submitted,
    successful: total_submitted - refused.length,
    failed: refused.length,
    errors: refused,
  };
}

function errorOf(index: number, input: unknown, error: string, reason: string): BatchError {
  const named = typeof input === 'object' && input !== null && 'meter_id' in input ? input.meter_id : null;
  return { index, meter_id: typeof named === 'string' ? named.slice(0, 50) : null, error, reason };
}

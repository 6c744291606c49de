import { Type, type TSchema } from 'typebox';
import type { Acceptance, Batch, BatchError } from '../../batches/batch.js';
import type { SubmittedReading } from '../../readings/submission-answer.js';
import { readingSchema } from '../../readings/wire-format.js';
import { json, moment, nullOr } from './answers.js';
import { named } from './lists.js';
import { ref, type Parameter, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Readings'] as const;

const error = {
  index: Type.Integer({ minimum: 0, description: 'Its place in the submission.' }),
  meter_id: nullOr(Type.String()),
  error: Type.String({ description: 'A code of docs/errors.md.' }),
  reason: Type.String({ description: 'A sentence for people.' }),
} satisfies Record<keyof BatchError, TSchema>;

const count = (description: string) => Type.Integer({ minimum: 0, description });

const acceptance = {
  job_id: Type.String({ format: 'uuid' }),
  total_submitted: count('Readings of the submission.'),
  successful: count('Valid, and not refused by the store so far.'),
  failed: count('The others; each is among the errors.'),
  errors: Type.Array(ref('BatchError')),
} satisfies Record<keyof Acceptance, unknown>;

const batch = {
  ...acceptance,
  state: Type.String({ enum: ['queued', 'running', 'retrying', 'done', 'failed'] }),
  attempts: count('How often storing it was begun.'),
  stored: count('Committed: stored now, or known before.'),
  submitted_at: moment(),
  finished_at: nullOr(moment()),
} satisfies Record<keyof Batch, unknown>;

const submitted = {
  outcome: Type.String({ enum: ['stored', 'duplicate'] }),
  meter_id: Type.String(),
  kwh_amount: Type.Number({ exclusiveMinimum: 0 }),
  reading_timestamp: moment(),
  submitted_at: moment(),
  source: Type.String(),
} satisfies Record<keyof SubmittedReading, TSchema>;

export const submissionSchemas: Schemas = {
  SubmittedReading: Type.Object(submitted),
  NewReading: { ...readingSchema, required: ['meter_id', 'kwh_amount', 'reading_timestamp'] },
  NewBatch: Type.Object({ readings: Type.Array(ref('NewReading'), { minItems: 1, maxItems: 1000 }) }),
  BatchError: Type.Object(error),
  BatchAcceptance: Type.Object(acceptance),
  Batch: Type.Object(batch),
};

const reading = { meter_id: 'METER001', kwh_amount: 1.25, reading_timestamp: '2026-11-20T12:00:00Z' };

const exampleAcceptance: Acceptance = {
  job_id: '0b9f4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11',
  total_submitted: 2,
  successful: 1,
  failed: 1,
  errors: [
    {
      index: 1,
      meter_id: 'METER001',
      error: 'KWH_OUT_OF_RANGE',
      reason: 'kwh_amount is 250; it must be more than 0 and at most 100.',
    },
  ],
};

const exampleBatch: Batch = {
  ...exampleAcceptance,
  state: 'done',
  attempts: 1,
  stored: 1,
  submitted_at: '2026-11-20T12:00:01.204Z',
  finished_at: '2026-11-20T12:00:01.338Z',
};

const key: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The same key with the same readings is the same batch and gets the same answer.',
  schema: Type.String({ pattern: '^[!-~]{1,255}$' }),
};

const exampleSubmitted: SubmittedReading = {
  outcome: 'stored',
  meter_id: 'METER001',
  kwh_amount: 1.25,
  reading_timestamp: '2026-11-20T12:00:00.000Z',
  submitted_at: '2026-11-20T12:00:01.204Z',
  source: 'http',
};

export const submissionPaths: Paths = {
  '/api/meters/submit-reading': {
    post: {
      operationId: 'submitReading',
      tags,
      summary: 'Submit one reading, stored when the answer comes',
      description: 'Through the same rules as a reading over MQTT.',
      requestBody: { required: true, content: json(ref('NewReading'), reading) },
      responses: {
        200: {
          description: 'It was stored before; nothing has changed.',
          content: json(ref('SubmittedReading'), { ...exampleSubmitted, outcome: 'duplicate' }),
        },
        201: { description: 'Stored.', content: json(ref('SubmittedReading'), exampleSubmitted) },
        ...refusals(
          [
            'SCHEMA_INVALID',
            'METER_UNKNOWN',
            'KWH_OUT_OF_RANGE',
            'TIMESTAMP_OUT_OF_WINDOW',
            'TOO_CLOSE',
            'SIGNATURE_MISSING',
            'SIGNATURE_INVALID',
            'KEY_REVOKED',
            'KEY_EXPIRED',
          ],
          { body: true },
        ),
      },
    },
  },
  '/api/meters/submit-readings-batch': {
    post: {
      operationId: 'submitBatch',
      tags,
      summary: 'Submit up to 1,000 readings, stored in the background',
      description:
        'Each reading is judged at once; what is wrong is named by index and does not hinder the others.',
      parameters: [key],
      requestBody: {
        required: true,
        content: json(ref('NewBatch'), { readings: [reading, { ...reading, kwh_amount: 250 }] }),
      },
      responses: {
        202: {
          description: 'Judged, and kept together with its job.',
          content: json(ref('BatchAcceptance'), exampleAcceptance),
        },
        ...refusals(['SCHEMA_INVALID', 'IDEMPOTENCY_KEY_REUSED'], { body: true }),
      },
    },
  },
  '/api/meters/batches/{job_id}': {
    get: {
      operationId: 'getBatch',
      tags,
      summary: 'How far a batch is, and what became of its readings',
      parameters: [named('job_id', 'What the submission answered.', exampleAcceptance.job_id)],
      responses: {
        200: { description: 'The batch.', content: json(ref('Batch'), exampleBatch) },
        ...refusals(['BATCH_UNKNOWN']),
      },
    },
  },
};

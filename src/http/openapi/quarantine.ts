import { Type, type TSchema } from 'typebox';
import type { ErrorCode } from '../../errors.js';
import type { BulkReplayed, QuarantinedMessage, Replayed } from '../../readings/quarantine-desk.js';
import { bulkReplayRequest, replayRequest } from '../../readings/replay-request.js';
import { json, moment, nullOr } from './answers.js';
import { listParameters, named, pageOf, query } from './lists.js';
import { ref, type Parameter, type Paths, type Schemas } from './model.js';
import { refusals } from './refusals.js';

const tags = ['Quarantine'] as const;

const outcomes = ['stored', 'duplicate', 'refused'];
const count = (description: string) => Type.Integer({ minimum: 0, description });

const message = {
  id: Type.Integer(),
  device_id: nullOr(Type.String()),
  meter_id: nullOr(Type.String()),
  topic: Type.String({ description: 'Empty when it came over HTTP.' }),
  qos: Type.Integer({ minimum: 0, maximum: 2 }),
  part: count('Its place in the message that carried it.'),
  code: Type.String({ description: 'The rule that refused it.' }),
  reason: Type.String({ description: 'For people, with the value and what is allowed.' }),
  payload: Type.String({ description: 'As it came: the text, or the bytes in base64.' }),
  payload_encoding: Type.String({ enum: ['utf8', 'base64'] }),
  payload_bytes: count('Length of the whole payload.'),
  payload_cut: Type.Boolean({
    description: 'A list shows the first 16 KiB; the message by itself shows all.',
  }),
  received_at: moment(),
  quarantined_at: moment(),
  replayed_at: nullOr(moment()),
  replay_outcome: nullOr(
    Type.String(),
    'Of the last replay: stored and duplicate are final, refused may be tried again.',
  ),
  replay_code: nullOr(Type.String()),
  replay_reason: nullOr(Type.String()),
} satisfies Record<keyof QuarantinedMessage, TSchema>;

const replayed = {
  id: Type.Integer(),
  outcome: Type.String({ enum: outcomes }),
  replayed_at: moment(),
  stored: count('Readings that were stored; or the one message that carried none.'),
  duplicate: count('Readings that had been stored before.'),
  refused: count('Readings that are messages of their own in quarantine now.'),
  code: nullOr(Type.String(), 'Why the first of the refused ones was.'),
  reason: nullOr(Type.String()),
} satisfies Record<keyof Replayed, TSchema>;

const bulk = {
  matched: count('Messages that fitted and were not settled.'),
  stored: count('Messages that are settled now.'),
  duplicate: count('Messages whose readings had all been stored before.'),
  refused: count('Messages that stay, refused again.'),
  skipped: count('Settled or deleted by somebody else meanwhile.'),
  remaining: count('Left for another call.'),
  refusals: Type.Array(Type.Object({ id: Type.Integer(), code: Type.String(), message: Type.String() }), {
    description: 'The first 100 of the refused ones.',
  }),
} satisfies Record<keyof BulkReplayed, TSchema>;

export const quarantineSchemas: Schemas = {
  QuarantinedMessage: Type.Object(message),
  QuarantinedMessagePage: pageOf('QuarantinedMessage'),
  ReplayRequest: replayRequest,
  BulkReplayRequest: bulkReplayRequest,
  Replayed: Type.Object(replayed),
  BulkReplayed: Type.Object(bulk),
};

const example: QuarantinedMessage = {
  id: 17,
  device_id: '0b9f4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11',
  meter_id: 'METER001',
  topic: 'meters/METER001/readings',
  qos: 1,
  part: 0,
  code: 'TIMESTAMP_OUT_OF_WINDOW',
  reason: 'reading_timestamp is 1970-01-01T00:15:00.000Z; it must be at most 7 days old and 5 minutes ahead.',
  payload: '{"kwh_amount":1.25,"reading_timestamp":900}',
  payload_encoding: 'utf8',
  payload_bytes: 43,
  payload_cut: false,
  received_at: '2026-11-20T12:00:01.204Z',
  quarantined_at: '2026-11-20T12:00:01.209Z',
  replayed_at: null,
  replay_outcome: null,
  replay_code: null,
  replay_reason: null,
};

const done: Replayed = {
  id: 17,
  outcome: 'stored',
  replayed_at: '2026-11-20T14:05:00.000Z',
  stored: 1,
  duplicate: 0,
  refused: 0,
  code: null,
  reason: null,
};

const which: Parameter = named('id', 'The message’s id.', '17');
/** RFC 3339, Unix milliseconds or Unix seconds ([M-11]). */
const time = { anyOf: [moment(), Type.Integer()] };

/** The rules that may refuse a message again. */
const rules: readonly ErrorCode[] = [
  'METER_UNKNOWN',
  'KWH_OUT_OF_RANGE',
  'TIMESTAMP_OUT_OF_WINDOW',
  'TOO_CLOSE',
  'METER_MISMATCH',
  'SIGNATURE_MISSING',
  'SIGNATURE_INVALID',
  'KEY_REVOKED',
  'KEY_EXPIRED',
];

export const quarantinePaths: Paths = {
  '/api/admin/quarantine': {
    get: {
      operationId: 'listQuarantine',
      tags,
      summary: 'What was refused, by page and filter',
      parameters: [
        ...listParameters(['quarantined_at']),
        query('meter_id', 'Only of this meter.', Type.String()),
        query('code', 'Only with this code.', Type.String()),
        query('topic', 'Only on this topic; an MQTT filter with + and # will do.', Type.String()),
        query('since', 'Quarantined from here on; RFC 3339, Unix ms or Unix s.', time),
        query('until', 'Quarantined before; RFC 3339, Unix ms or Unix s.', time),
        query('replayed', 'Whether a replay has settled it.', Type.String({ enum: ['yes', 'no'] })),
      ],
      responses: {
        200: {
          description: 'A page of messages, newest first.',
          content: json(ref('QuarantinedMessagePage'), { data: [example], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/admin/quarantine/replay': {
    post: {
      operationId: 'replayMany',
      tags,
      summary: 'Replay what fits a filter',
      description:
        'One after another, the never replayed ones first, no more than `limit` and no longer than 20 s. ' +
        'A field that is not known is refused.',
      requestBody: {
        required: true,
        content: json(ref('BulkReplayRequest'), { meter_id: 'METER001', code: 'TOO_CLOSE', limit: 100 }),
      },
      responses: {
        200: {
          description: 'What became of them.',
          content: json(ref('BulkReplayed'), {
            matched: 120,
            stored: 98,
            duplicate: 1,
            refused: 1,
            skipped: 0,
            remaining: 20,
            refusals: [
              { id: 21, code: 'TOO_CLOSE', message: 'Two readings of a meter are at least 900 s apart.' },
            ],
          }),
        },
        ...refusals(['SCHEMA_INVALID'], { body: true }),
      },
    },
  },
  '/api/admin/quarantine/{id}': {
    get: {
      operationId: 'getQuarantined',
      tags,
      summary: 'Show a message with its whole payload',
      parameters: [which],
      responses: {
        200: { description: 'The message.', content: json(ref('QuarantinedMessage'), example) },
        ...refusals(['MESSAGE_UNKNOWN']),
      },
    },
    delete: {
      operationId: 'deleteQuarantined',
      tags,
      summary: 'Delete a message',
      description: 'The audit log keeps id, code, meter, topic and the SHA-256 of the payload.',
      parameters: [which],
      responses: {
        200: { description: 'The message as it was.', content: json(ref('QuarantinedMessage'), example) },
        ...refusals(['MESSAGE_UNKNOWN']),
      },
    },
  },
  '/api/admin/quarantine/{id}/replay': {
    post: {
      operationId: 'replayQuarantined',
      tags,
      summary: 'Replay a message after a fix',
      description:
        'Through the rules as they are now, its time as of the moment when it was received. What is stored or was ' +
        'known is settled. `{}` leaves the time as the meter said; a field that is not known is refused.',
      parameters: [which],
      requestBody: {
        required: true,
        content: json(ref('ReplayRequest'), { reading_timestamp: '2026-11-20T12:00:00Z' }),
      },
      responses: {
        200: { description: 'Settled: stored or duplicate.', content: json(ref('Replayed'), done) },
        ...refusals(['SCHEMA_INVALID', 'MESSAGE_UNKNOWN', 'MESSAGE_REPLAYED', ...rules], { body: true }),
      },
    },
  },
};

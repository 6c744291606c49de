import { Type } from 'typebox';
import { DomainError, type ErrorCode } from '../../errors.js';
import type { InjectionBody } from '../../tokens/injection-answer.js';
import { notApplied } from '../../tokens/injection-answer.js';
import { injectionStatuses, type InjectionRecord } from '../../tokens/record.js';
import { json } from './answers.js';
import { listParameters, named, pageOf, query, someOf } from './lists.js';
import { ref, type Answers, type Paths, type Schemas } from './model.js';
import { refusals, refusalsOf } from './refusals.js';

const tags = ['Tokens'] as const;
const id = '0e6d7a9e-6c1c-4b0e-9d57-4c6a1f3f6a55';

const time = (description: string) =>
  Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description });
const text = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

const reason = Type.String({
  enum: ['used', 'expired', 'wrong_meter', 'failed'],
  description: 'Why the meter refused.',
});

export const injectionSchemas: Schemas = {
  NewInjection: Type.Object({
    meter_number: Type.String({ description: 'The drn or the meter_id of a known meter.' }),
    credit_token: Type.String({ description: 'An STS credit token: 20 digits.' }),
  }),
  Injected: Type.Object({
    status: Type.Literal('success'),
    message: Type.String(),
    injected_units: Type.Number({ description: 'What the meter has booked, in kWh.' }),
    injection_id: Type.String({ format: 'uuid' }),
    data: Type.Unknown({ description: 'The meter’s answer as sent.' }),
  }),
  NotInjected: Type.Object(
    {
      status: Type.String({ enum: ['failed', 'unanswered'] }),
      message: Type.String(),
      injection_id: Type.Union([Type.String({ format: 'uuid' }), Type.Null()], {
        description: 'Of the record; null when nothing was begun.',
      }),
      reason: Type.Optional(reason),
      data: Type.Optional(Type.Unknown({ description: 'The meter’s answer as sent.' })),
      error: Type.Object({
        code: Type.String(),
        message: Type.String(),
        details: Type.Optional(
          Type.Array(Type.Object({ path: Type.String(), message: Type.String() }), { minItems: 1 }),
        ),
      }),
    },
    { description: 'An error, with what became of the token.' },
  ),
  Injection: Type.Object({
    id: Type.String({ format: 'uuid' }),
    meter_number: Type.String({ description: 'As the caller wrote it.' }),
    meter_id: Type.String(),
    token_last4: Type.String({ description: 'The token itself is not kept.' }),
    seen_before: Type.Integer({ minimum: 0, description: 'Earlier injections of the same token.' }),
    status: Type.String({ enum: [...injectionStatuses] }),
    phase: Type.String({ enum: ['requested', 'subscribed', 'sent', 'acknowledged', 'answered'] }),
    late: Type.Boolean({ description: 'The meter answered after its time.' }),
    code: text('The error code of its answer.'),
    refusal: Type.Union([reason, Type.Null()]),
    reason: text('A sentence for people.'),
    injected_units: Type.Union([Type.Number(), Type.Null()]),
    answer: Type.Unknown({ description: 'The meter’s answer as sent; null without one.' }),
    vendor_status: Type.Union([Type.Integer(), Type.Null()], {
      description: 'The HTTP status of the meter-management system.',
    }),
    vendor_attempts: Type.Integer({ minimum: 0 }),
    caller: Type.String(),
    instance: Type.String({ description: 'The instance that waited for it.' }),
    deadline_at: Type.String({ format: 'date-time' }),
    requested_at: Type.String({ format: 'date-time' }),
    subscribed_at: time('The broker has granted the topic of answers.'),
    sent_at: time('The meter-management system was asked; null as long as it cannot have the token.'),
    acknowledged_at: time('It has taken the token.'),
    answered_at: time('The meter has answered.'),
    finished_at: time('The record is final.'),
  }),
};

const answer = [
  { n: '1P-Energy-Meter', v: '09000030529', t: 1_753_416_882 },
  { n: 'injected-units', v: 2, t: 0 },
  { n: 'credit-token-ack', v: 1, t: 0 },
];

const exampleInjected: InjectionBody = {
  status: 'success',
  message: 'Token injected successfully. Injected units: 2.00',
  injected_units: 2,
  injection_id: id,
  data: answer,
};

const exampleRecord: InjectionRecord = {
  id,
  meter_number: '09000030529',
  meter_id: 'METER001',
  token_last4: '9281',
  seen_before: 0,
  status: 'success',
  phase: 'answered',
  late: false,
  code: null,
  refusal: null,
  reason: null,
  injected_units: 2,
  answer,
  vendor_status: 202,
  vendor_attempts: 1,
  caller: 'demo',
  instance: 'host-1880',
  deadline_at: '2026-11-21T06:01:20.000Z',
  requested_at: '2026-11-21T06:00:00.000Z',
  subscribed_at: '2026-11-21T06:00:00.006Z',
  sent_at: '2026-11-21T06:00:00.006Z',
  acknowledged_at: '2026-11-21T06:00:00.020Z',
  answered_at: '2026-11-21T06:00:01.250Z',
  finished_at: '2026-11-21T06:00:01.255Z',
};

/** Their bodies say more than an error: what became of the token. */
const mishaps: readonly (readonly [
  status: string,
  description: string,
  examples: readonly (readonly [ErrorCode, string])[],
])[] = [
  [
    '400',
    'No such number, or no such token, can be; or the body is not JSON.',
    [
      ['TOKEN_INVALID', 'credit_token: the 19th to 20th digits are missing.'],
      ['DRN_CHECK_DIGIT', 'meter_number: check digit should be 9, or another digit is wrong.'],
      [
        'METER_NUMBER_INVALID',
        'meter_number: has a space in the 3rd place: letters, digits, - and _ are allowed.',
      ],
      ['SCHEMA_INVALID', 'The request is wrong: credit_token is missing.'],
      ['BAD_REQUEST', 'The body is not valid JSON.'],
    ],
  ],
  ['404', 'No such meter.', [['METER_UNKNOWN', 'There is no meter "METER009".']]],
  [
    '409',
    'The token is booked, or bound to another meter.',
    [
      ['TOKEN_USED', 'This token was confirmed by a meter before.'],
      ['TOKEN_BOUND', 'This token was sent to another meter, and is bound to it.'],
    ],
  ],
  ['422', 'The meter refused the token.', [['TOKEN_REFUSED', 'The meter has used this token before.']]],
  [
    '502',
    'The meter-management system refused, failed, or cannot be reached.',
    [['TOKEN_API_FAILED', 'The meter-management system answered 422.']],
  ],
  [
    '503',
    'Nothing was sent: no such system is set up, the database or the broker is away, too many wait, or Meterflow stopped. Besides these: `BROKER_UNAVAILABLE`, `SUBSCRIPTION_REFUSED`, `INJECTIONS_BUSY`, `INJECTION_INTERRUPTED`.',
    [
      ['TOKEN_API_MISSING', 'There is no meter-management system: set TOKEN_API_URL.'],
      ['DATABASE_UNAVAILABLE', 'The database does not answer.'],
      ['LOGIN_PROVIDER_UNAVAILABLE', 'The provider of logins does not answer.'],
    ],
  ],
  [
    '504',
    'The meter did not answer in time; it may still, and the record will say so.',
    [['TOKEN_UNANSWERED', 'The meter did not answer within 30 s. It may still; the record will say so.']],
  ],
];

function mishapAnswers(): Answers {
  return Object.fromEntries(
    mishaps.map(([status, description, examples]) => [
      status,
      {
        description,
        ...(status === '503' ? { headers: retryAfter } : {}),
        content: {
          'application/json': {
            // Before the token was looked at, an error is no more than an error.
            schema: ['400', '503'].includes(status)
              ? { anyOf: [ref('NotInjected'), ref('Error')] }
              : ref('NotInjected'),
            examples: Object.fromEntries(
              examples.map(([code, message]) => [
                code,
                { value: notApplied({ id: null, error: new DomainError(code, message) }).body },
              ]),
            ),
          },
        },
      },
    ]),
  );
}

const retryAfter = {
  'Retry-After': {
    description: 'Seconds until asking again makes sense.',
    schema: Type.Integer({ minimum: 1 }),
  },
};

export const injectionPaths: Paths = {
  '/api/inject_token': {
    post: {
      operationId: 'injectToken',
      tags,
      summary: 'Hand a prepaid token to a meter',
      description: `Waits for the meter's own answer and says what it says: the acceptance of the meter-management
system is no success. The same token for the same meter, sent again meanwhile, gets the same answer.`,
      requestBody: {
        required: true,
        content: json(ref('NewInjection'), {
          meter_number: '09000030529',
          credit_token: '54158492421732529281',
        }),
      },
      responses: {
        200: { description: 'The meter has booked it.', content: json(ref('Injected'), exampleInjected) },
        ...refusalsOf([
          'UNAUTHORIZED',
          'FORBIDDEN',
          'RATE_LIMITED',
          'PAYLOAD_TOO_LARGE',
          'UNSUPPORTED_MEDIA_TYPE',
          'INTERNAL',
        ]),
        ...mishapAnswers(),
      },
    },
  },
  '/api/injections': {
    get: {
      operationId: 'listInjections',
      tags,
      summary: 'Token injections, the latest first',
      parameters: [
        ...listParameters(['requested_at']),
        someOf('status', 'What became of it.', injectionStatuses),
        query('meter_id', 'The meter, or its number as the caller wrote it.', Type.String()),
        query('seen_before', 'true: only those whose token came before.', Type.Boolean()),
        query('start', 'Requested from this time on.', Type.String()),
        query('end', 'And before this one.', Type.String()),
      ],
      responses: {
        200: {
          description: 'A page of them.',
          content: json(pageOf('Injection'), { data: [exampleRecord], page: 1, limit: 20, total: 1 }),
        },
        ...refusals(['SCHEMA_INVALID']),
      },
    },
  },
  '/api/injections/{id}': {
    get: {
      operationId: 'getInjection',
      tags,
      summary: 'One token injection',
      parameters: [named('id', 'Its injection_id.', id)],
      responses: {
        200: { description: 'As it stands now.', content: json(ref('Injection'), exampleRecord) },
        ...refusals(['INJECTION_UNKNOWN']),
      },
    },
  },
};

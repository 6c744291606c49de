import { Type } from 'typebox';
import { DomainError, errorStatus, type ErrorCode, type ErrorDetail } from '../../errors.js';
import { errorAnswer } from '../errors.js';
import { ref, type Answer, type Answers, type Schemas } from './model.js';

const codes = Object.keys(errorStatus) as ErrorCode[];

export const refusalSchemas: Schemas = {
  Error: Type.Object(
    {
      error: Type.Object({
        code: Type.String({ enum: codes, description: 'Does not change; docs/errors.md explains each.' }),
        message: Type.String({ minLength: 1, description: 'A sentence for people.' }),
        details: Type.Optional(
          Type.Array(
            Type.Object({
              path: Type.String({
                description: 'The wrong field as a JSON pointer; empty: the body itself.',
              }),
              message: Type.String({ description: 'What is wrong with it.' }),
            }),
            { minItems: 1 },
          ),
        ),
      }),
    },
    { description: 'The one shape of every error.' },
  ),
};

/**
 * What every guarded operation may answer: no login that holds, not for this caller, too many requests or too many wrong
 * logins, a fault of ours.
 */
const always: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'FORBIDDEN',
  'RATE_LIMITED',
  'INTERNAL',
  'DATABASE_UNAVAILABLE',
];
/** Where a provider's key set judges tokens. */
const ofTokens: readonly ErrorCode[] = ['LOGIN_PROVIDER_UNAVAILABLE'];
const ofCaptchas: readonly ErrorCode[] = ['CAPTCHA_FAILED', 'CAPTCHA_UNAVAILABLE'];
/** What reading a JSON body may answer besides. */
const ofBodies: readonly ErrorCode[] = ['BAD_REQUEST', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'];

interface Refusing {
  readonly body?: boolean;
  /** As its guard in the flows says; `open`: anyone comes in. */
  readonly guard?: 'captcha' | 'open';
}

/** The error answers of an API operation by status, `own` ones and those that all of them share. */
export function refusals(own: readonly ErrorCode[], { body = false, guard }: Refusing = {}): Answers {
  return refusalsOf([
    ...own,
    ...(body ? ofBodies : []),
    ...always,
    ...(guard === 'open' ? [] : ofTokens),
    ...(guard === 'captcha' ? ofCaptchas : []),
  ]);
}

/** Exactly these. */
export function refusalsOf(codesOf: readonly ErrorCode[]): Answers {
  const which = [...new Set(codesOf)];
  const statuses = [...new Set(which.map((code) => errorStatus[code]))].sort((one, other) => one - other);
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      refusal(
        status,
        which.filter((code) => errorStatus[code] === status),
      ),
    ]),
  );
}

function refusal(status: number, which: readonly ErrorCode[]): Answer {
  const header = headers[status];
  return {
    description: `${meanings[status] ?? 'Refused'}: ${which.map((code) => `\`${code}\``).join(', ')}.`,
    ...(header === undefined ? {} : { headers: header }),
    content: {
      'application/json': {
        schema: {
          allOf: [
            ref('Error'),
            { properties: { error: { properties: { code: { type: 'string', enum: which } } } } },
          ],
        },
        examples: Object.fromEntries(which.map((code) => [code, { value: exampleOf(code) }])),
      },
    },
  };
}

const meanings: Readonly<Record<number, string>> = {
  400: 'Malformed or invalid',
  401: 'Log in first',
  403: 'Not allowed',
  404: 'Not there',
  409: 'In conflict with what is there',
  413: 'The body is above 1 MiB, or has too many readings',
  415: 'The body is not JSON',
  422: 'Understood, but refused',
  429: 'Too many of this caller, this address or this device',
  500: 'A fault of ours; the log has the details',
  502: 'Somebody whom Meterflow asked refused, or did not answer',
  503: 'Something that is needed is away or busy; try again',
};

const headers: Readonly<Record<number, Answer['headers']>> = {
  401: {
    'WWW-Authenticate': { description: 'How to log in.', schema: Type.String() },
  },
  429: {
    'Retry-After': {
      description: 'Seconds until the next one is welcome.',
      schema: Type.Integer({ minimum: 1 }),
    },
  },
  503: {
    'Retry-After': {
      description: 'Seconds until asking again makes sense.',
      schema: Type.Integer({ minimum: 1 }),
    },
  },
};

function exampleOf(code: ErrorCode): object {
  const [message, details] = sentences[code] ?? ['Refused.'];
  return errorAnswer(new DomainError(code, message, details === undefined ? {} : { details })).body;
}

const sentences: Readonly<Partial<Record<ErrorCode, readonly [string, ErrorDetail[]?]>>> = {
  BAD_REQUEST: ['The body is not valid JSON.'],
  SCHEMA_INVALID: [
    'The query is wrong: limit must be a whole number from 1 to 100.',
    [{ path: '/limit', message: 'must be a whole number from 1 to 100' }],
  ],
  DRN_CHECK_DIGIT: [
    'The check digit of drn 09000030528 is wrong.',
    [{ path: '/drn', message: 'has a wrong check digit' }],
  ],
  UNAUTHORIZED: ['Log in first.'],
  FORBIDDEN: ['This is not for your role.'],
  CAPTCHA_FAILED: ['The CAPTCHA is missing or wrong: send X-Captcha-Token.'],
  CAPTCHA_UNAVAILABLE: ['The CAPTCHA could not be verified; try again later.'],
  LOGIN_PROVIDER_UNAVAILABLE: ['The provider of logins does not answer.'],
  DEVICE_UNKNOWN: ['No device METER009 is registered.'],
  BATCH_UNKNOWN: ['There is no batch "4711".'],
  IDEMPOTENCY_KEY_REUSED: [
    'This Idempotency-Key came with other readings before; a new submission needs a new key.',
  ],
  MESSAGE_UNKNOWN: ['There is no quarantined message "17".'],
  MESSAGE_REPLAYED: ['The quarantined message 17 was replayed before, with the outcome stored.'],
  KWH_OUT_OF_RANGE: ['kwh_amount is 4000; it must be more than 0 and at most 100.'],
  TIMESTAMP_OUT_OF_WINDOW: [
    'reading_timestamp is 1970-01-01T00:15:00.000Z; it must be at most 7 days old and 5 minutes ahead.',
  ],
  TOO_CLOSE: [
    '2026-11-20T12:05:00.000Z is 300 s from the stored reading of 2026-11-20T12:00:00.000Z; two readings of a meter are at least 900 s apart.',
  ],
  METER_MISMATCH: ['meter_id is METER007; the reading came from METER001.'],
  METER_UNKNOWN: ['There is no meter "METER009".'],
  NO_READING: ['The meter METER001 has no reading yet.'],
  METER_ID_TAKEN: ['This meter_id names another device, a mock or a service account.'],
  DRN_TAKEN: ['This drn names another device.'],
  KEY_EXISTS: ['This meter has a key already: rotate it, or revoke it first.'],
  INJECTION_UNKNOWN: ['There is no injection "4711".'],
  PAYMENT_UNKNOWN: ['No payment has the receipt SKL7X2M9QA.'],
  PAYMENT_ALLOCATED: ['The payment SKL7X2M9QA was moved to a meter before.'],
  PAYMENT_REVERSED: ['The payment SKL7X2M9QA was taken back before.'],
  TARIFF_INVALID: [
    'The tariff is not valid: blocks/0/from must be 0: the first block begins there.',
    [{ path: '/blocks/0/from', message: 'must be 0: the first block begins there' }],
  ],
  TARIFF_EXISTS: ['The plan default has a version from this time already.'],
  KEY_UNKNOWN: ['The meter METER001 has no valid key: register one.'],
  RATE_LIMITED: ['1200 requests a minute are taken from one caller; come back in 42 s.'],
  PAYLOAD_TOO_LARGE: ['The body is larger than 1048576 bytes.'],
  UNSUPPORTED_MEDIA_TYPE: [
    'The body must be JSON: Content-Type: application/json, in UTF-8, not compressed.',
  ],
  INTERNAL: ['Something failed inside; the log says what.'],
  DATABASE_UNAVAILABLE: ['The database does not answer.'],
};

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { Type } from 'typebox';
import { DomainError, type ErrorDetail } from '../errors.js';
import { asQuarantineFilter, type QuarantineFilter } from './quarantined-message.js';
import { parseTimestamp } from './timestamp.js';

/** What an operator may change about a message when it is replayed; the message itself stays as it came. */
export interface Corrections {
  /** The right time of the one reading in the message, Unix ms. */
  readonly time: number | null;
  /** Added to the time of every reading in the message. */
  readonly offsetMs: number;
  /** Instead of the validator's limit. */
  readonly ageMaxDays: number | null;
}

export interface BulkRequest {
  readonly filter: QuarantineFilter;
  /** Most messages of one call. */
  readonly limit: number;
  readonly corrections: Corrections;
}

const bulkDefault = 100;
const bulkMax = 1000;
/** A clock that never was set counts from 1970. */
const offsetMaxMs = 100 * 366 * 86_400_000;
const ageMaxDaysMax = 366;

const time = Type.Union([Type.String(), Type.Integer()], {
  description: 'RFC 3339, Unix milliseconds or Unix seconds.',
});

const corrections = {
  time_offset_ms: Type.Optional(
    Type.Integer({
      minimum: -offsetMaxMs,
      maximum: offsetMaxMs,
      description: 'Added to the time of every reading: for a clock that was wrong by a known amount.',
    }),
  ),
  age_max_days: Type.Optional(
    Type.Number({
      minimum: 0,
      maximum: ageMaxDaysMax,
      description: 'How old a reading may have been when it was received, instead of the usual limit.',
    }),
  ),
};

/** What POST /api/admin/quarantine/{id}/replay takes; the API's document shows this very schema. */
export const replayRequest = Type.Object(
  {
    reading_timestamp: Type.Optional({
      ...time,
      description:
        'The right time, for a message with one reading. RFC 3339, Unix milliseconds or Unix seconds.',
    }),
    ...corrections,
  },
  { additionalProperties: false },
);

/** What POST /api/admin/quarantine/replay takes. */
export const bulkReplayRequest = Type.Object(
  {
    meter_id: Type.Optional(Type.String({ maxLength: 50 })),
    code: Type.Optional(Type.String({ maxLength: 50 })),
    topic: Type.Optional(
      Type.String({ maxLength: 65_535, description: 'A topic, or an MQTT filter with + and #.' }),
    ),
    since: Type.Optional({ ...time, description: 'Quarantined from here on.' }),
    until: Type.Optional({ ...time, description: 'Quarantined before.' }),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: bulkMax, default: bulkDefault, description: 'At most so many.' }),
    ),
    ...corrections,
  },
  { additionalProperties: false },
);

interface ReplayBody {
  readonly reading_timestamp?: string | number;
  readonly time_offset_ms?: number;
  readonly age_max_days?: number;
}

interface BulkBody extends Omit<ReplayBody, 'reading_timestamp'> {
  readonly meter_id?: string;
  readonly limit?: number;
}

const ajv = new Ajv({ allErrors: true });
const isReplayBody = ajv.compile<ReplayBody>(replayRequest);
const isBulkBody = ajv.compile<BulkBody>(bulkReplayRequest);

/**
 * Unknown fields are refused here, not ignored: a correction with a typing error would store what nobody meant.
 * @throws DomainError SCHEMA_INVALID naming each field
 */
export function asCorrections(input: unknown): Corrections {
  const body = checked(input ?? {}, isReplayBody);
  const { reading_timestamp, time_offset_ms = 0, age_max_days = null } = body;
  if (reading_timestamp !== undefined && time_offset_ms !== 0)
    throw wrong([{ path: '/time_offset_ms', message: 'cannot stand beside reading_timestamp' }]);
  const right = reading_timestamp === undefined ? null : parseTimestamp(reading_timestamp);
  if (Number.isNaN(right))
    throw wrong([{ path: '/reading_timestamp', message: 'must be RFC 3339 or a whole Unix time' }]);
  return { time: right, offsetMs: time_offset_ms, ageMaxDays: age_max_days };
}

/** @throws as `asCorrections` */
export function asBulkRequest(input: unknown): BulkRequest {
  const body = checked(input ?? {}, isBulkBody);
  const { limit = bulkDefault, time_offset_ms = 0, age_max_days = null } = body;
  if (time_offset_ms !== 0 && (body.meter_id ?? '') === '')
    throw wrong([{ path: '/meter_id', message: 'is needed beside time_offset_ms: a clock is of one meter' }]);
  return {
    filter: asQuarantineFilter({ ...body }),
    limit,
    corrections: { time: null, offsetMs: time_offset_ms, ageMaxDays: age_max_days },
  };
}

function checked<T>(input: unknown, isValid: ValidateFunction<T>): T {
  if (!isValid(input)) throw wrong(detailsOf(isValid.errors ?? []));
  return input;
}

function detailsOf(errors: readonly ErrorObject[]): ErrorDetail[] {
  return errors
    .filter(({ keyword }) => keyword !== 'anyOf')
    .map(({ instancePath, message, params }) => {
      const unknown: unknown = params['additionalProperty'];
      if (typeof unknown === 'string') return { path: `/${unknown}`, message: 'is not known here' };
      return { path: instancePath, message: message ?? 'is not valid' };
    });
}

function wrong(details: readonly ErrorDetail[]): DomainError {
  const sentence = details.map(({ path, message }) => `${path.slice(1) || 'the body'} ${message}`).join('; ');
  return new DomainError('SCHEMA_INVALID', `The replay cannot be done so: ${sentence}.`, { details });
}

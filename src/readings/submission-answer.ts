import { DomainError, errorStatus, type ErrorCode } from '../errors.js';
import { errorAnswer } from '../http/errors.js';
import { isRejection, type Reading, type Rejection } from './reading.js';

/** What POST /api/meters/submit-reading says of a reading whose outcome is decided ([H-6]). */
export interface SubmittedReading {
  readonly outcome: 'stored' | 'duplicate';
  readonly meter_id: string;
  readonly kwh_amount: number;
  /** RFC 3339. */
  readonly reading_timestamp: string;
  /** RFC 3339: when it was received now; an earlier one of a duplicate stands in the list of readings. */
  readonly submitted_at: string;
  readonly source: Reading['source'];
}

/** 201 stored, 200 duplicate, else the status of the refusal's code. */
export function submissionAnswer(
  outcome: 'stored' | 'duplicate',
  item: Reading | Rejection,
): { readonly status: number; readonly body: object } {
  if (isRejection(item)) return errorAnswer(refusal(item));
  const { meter_id, energy, time, received_at, source } = item;
  const body: SubmittedReading = {
    outcome,
    meter_id,
    kwh_amount: energy / 10_000,
    reading_timestamp: new Date(time).toISOString(),
    submitted_at: new Date(received_at).toISOString(),
    source,
  };
  return { status: outcome === 'stored' ? 201 : 200, body };
}

function refusal({ code, reason }: Rejection): DomainError {
  if (!Object.hasOwn(errorStatus, code)) return new DomainError('SCHEMA_INVALID', `${code}: ${reason}`);
  return new DomainError(code as ErrorCode, reason);
}

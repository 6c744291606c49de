import { isUtf8 } from 'node:buffer';
import type { Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import type { Reading, Rejection } from './reading.js';
import type { Corrections } from './replay-request.js';
import { findMeters, type RegisteredMeter, type ReplayRow } from './replay-store.js';
import { createRules, defaultLimits, type ReadingLimits } from './rules.js';
import { createValidator, type Validation } from './validate.js';
import { partOf } from './wire-format.js';

export interface ReplayRules {
  readonly limits?: Partial<ReadingLimits>;
  /** The integrator's own JSON Schema. */
  readonly schema?: object;
  /**
   * Judges signatures, over what the meter sent and not over what an operator corrected. Absent: what a meter with a key
   * sent stays refused.
   */
  readonly verify?: (
    readings: readonly Reading[],
    wait: { readonly signal: AbortSignal },
  ) => Promise<{ readonly valid: readonly Reading[]; readonly rejected: readonly Rejection[] }>;
}

/** Every reading of the message is in exactly one list. */
export interface Judgement {
  readonly valid: readonly Reading[];
  readonly rejected: readonly Rejection[];
}

/** What the rules of now say of a message that was quarantined; none of it needs a lock. */
export type ReplayJudge = (
  database: Session,
  row: ReplayRow,
  corrections: Corrections,
  signal: AbortSignal,
) => Promise<Judgement>;

/**
 * The limits of now, but the time rule at the moment when the message was received: a replay may come days later.
 * A corrected time must keep that rule too.
 * @throws DomainError CONFIGURATION as `createValidator`
 */
export function createReplayJudge({ limits = {}, schema, verify }: ReplayRules): ReplayJudge {
  const now = { ...defaultLimits, ...limits };
  createRules(now);
  // Times are judged here, after their correction.
  const validator = createValidator({
    limits: { ...now, ageMaxDays: anyDays, aheadMaxMinutes: anyDays * 1440 },
    ...(schema === undefined ? {} : { schema }),
  });

  return async (database, row, corrections, signal) => {
    const judged = validate(row);
    if (corrections.time !== null && judged.valid.length + judged.rejected.length > 1) refuseTime(judged);
    const rejected: Rejection[] = [...judged.rejected];
    let valid: readonly Reading[] = judged.valid;

    const meters = await findMeters(database, [...new Set(valid.map(({ meter_id }) => meter_id))]);
    const known: Reading[] = [];
    for (const reading of valid) {
      const refusal = unknownSender(reading, meters.get(reading.meter_id), verify !== undefined);
      if (refusal === null) known.push(reading);
      else rejected.push(refused(reading, refusal));
    }
    valid = known;
    if (verify !== undefined && valid.length > 0) {
      const verdicts = await verify(valid, { signal });
      rejected.push(...verdicts.rejected);
      valid = verdicts.valid;
    }

    const ageMaxDays = corrections.ageMaxDays ?? now.ageMaxDays;
    const rules = createRules({ ...now, ageMaxDays });
    const timely: Reading[] = [];
    for (const reading of valid) {
      const time = corrected(reading.time, corrections);
      const refusal = rules.check(reading.energy, time, reading.received_at);
      if (refusal !== null) rejected.push(refused(reading, refusal));
      else timely.push({ ...reading, time, user_id: meters.get(reading.meter_id)?.user_id ?? null });
    }
    return { valid: timely, rejected };
  };

  function validate(row: ReplayRow): Pick<Validation, 'valid' | 'rejected'> {
    const payload = isUtf8(row.payload) ? row.payload.toString('utf8') : row.payload;
    const { topic, qos } = row;
    const place = { device_id: row.device_id, topic, qos, received_at: row.received_at.getTime() };
    if (row.meter_id !== null && topic !== '') {
      const pattern = `meters/+/${topic.slice(topic.lastIndexOf('/') + 1)}`;
      const { meter_id, device_id } = row;
      const delivery = {
        ...place,
        delivery: 0,
        pattern,
        payload,
        meter_id,
        device_id: device_id ?? '',
        user_id: null,
      };
      return withDevice(validator.validate([delivery]), device_id);
    }
    const verdict = validator.validateOne(parsed(payload), {
      ...(row.meter_id === null ? {} : { meter_id: row.meter_id }),
      device_id: row.device_id,
      source: 'http',
      received_at: place.received_at,
    });
    return 'code' in verdict
      ? { valid: [], rejected: [{ ...verdict, ...place, payload }] }
      : { valid: [{ ...verdict, ...place, payload }], rejected: [] };
  }
}

/** More than a Date can hold. */
const anyDays = 2e8;
const dateMsMax = 8.64e15;

/** Whether it came on a topic of readings ([M-1], [M-9]), or over HTTP, where readings alone are quarantined. */
export function carriesReadings({ topic }: Pick<ReplayRow, 'topic'>): boolean {
  return topic === '' || /^meters\/[^/]+\/readings(\.pb)?$/.test(topic);
}

function corrected(time: number, { time: right, offsetMs }: Corrections): number {
  return Math.max(-dateMsMax, Math.min(dateMsMax, right ?? time + offsetMs));
}

/** A delivery always has a device; a row may be of one that nobody knows any more. */
function withDevice({ valid, rejected }: Validation, device_id: string | null): Judgement & Validation {
  return {
    splits: [],
    valid: valid.map((reading) => ({ ...reading, device_id })),
    rejected: rejected.map((rejection) => ({ ...rejection, device_id })),
  };
}

function parsed(payload: string | Buffer): unknown {
  try {
    return JSON.parse(String(payload));
  } catch {
    return undefined;
  }
}

/** Null: it may be judged. */
function unknownSender(
  { meter_id }: Reading,
  meter: RegisteredMeter | undefined,
  verifies: boolean,
): Reason | null {
  if (meter === undefined)
    return { code: 'METER_UNKNOWN', reason: `There is no meter ${meter_id} in the registry.` };
  if (!meter.signs || verifies) return null;
  const reason = `The meter ${meter_id} has a key, and nothing here can verify its signatures.`;
  return { code: 'SIGNATURE_INVALID', reason };
}

type Reason = Readonly<Record<'code' | 'reason', string>>;

function refused(reading: Reading, { code, reason }: Reason): Rejection {
  const { delivery, part, device_id, meter_id, topic, qos, received_at, payload = '' } = reading;
  return {
    delivery,
    part,
    device_id,
    meter_id,
    topic,
    qos,
    code,
    reason,
    payload: partOf(payload, part),
    received_at,
  };
}

function refuseTime({ valid, rejected }: Judgement): never {
  const count = valid.length + rejected.length;
  const message = `is for one reading; this message holds ${count}: use time_offset_ms`;
  throw new DomainError('SCHEMA_INVALID', `reading_timestamp ${message}.`, {
    details: [{ path: '/reading_timestamp', message }],
  });
}

import { isUtf8 } from 'node:buffer';

import type { Delivery } from '../broker/delivery.js';
import { metrics } from '../operation/metrics.js';
import { createJudge, type Judge } from './judge.js';
import { decodeReading, splitReadings } from './protobuf.js';
import type { Reading, Rejection } from './reading.js';
import type { ReadingLimits, Refusal } from './rules.js';
import { partOf, readingsPerMessageMax } from './wire-format.js';

export interface ValidatorOptions {
  readonly limits?: Partial<ReadingLimits>;
  /** The integrator's own JSON Schema, applied to each reading after ours. */
  readonly schema?: object;
  /** Unix ms. */
  readonly now?: () => number;
}

/** What became of a batch: each part of each delivery is in `valid` or in `rejected`, in the order of arrival. */
export interface Validation {
  readonly valid: Reading[];
  readonly rejected: Rejection[];
  /** Deliveries that carried several readings: each part is settled on its own, the last one acknowledges. */
  readonly splits: { readonly delivery: number; readonly parts: number }[];
}

/** Where a reading outside MQTT comes from; `meter_id` when the caller knows the meter already. */
export interface ReadingContext {
  readonly meter_id?: string;
  readonly device_id?: string | null;
  readonly user_id?: string | null;
  readonly source: Reading['source'];
  /** Unix ms. */
  readonly received_at: number;
}

export interface Validator {
  /** Messages of the broker: JSON objects, or arrays of 1 to 1,000 of them; the same in Protobuf ([M-9]). */
  validate(batch: readonly Delivery[]): Validation;
  /** One reading that is parsed already. */
  validateOne(input: unknown, context: ReadingContext): Reading | Rejection;
}

/**
 * The rules of section 5 that need no database.
 * @throws DomainError CONFIGURATION when a limit or the integrator's schema cannot be used.
 */
export function createValidator(options: ValidatorOptions = {}): Validator {
  const judge = createJudge(options.limits, options.schema);
  const now = options.now ?? Date.now;
  return {
    validate(batch) {
      const result: Validation = { valid: [], rejected: [], splits: [] };
      const at = now();
      for (const delivery of batch) validateDelivery(delivery, judge, at, result);
      for (const rejection of result.rejected) metrics.readingErrors.inc({ error_type: rejection.code });
      return result;
    },
    validateOne(input, context) {
      const result = judgeOne(input, context, judge, now());
      if ('code' in result) metrics.readingErrors.inc({ error_type: result.code });
      return result;
    },
  };
}

function validateDelivery(delivery: Delivery, judge: Judge, at: number, result: Validation): void {
  const refuseAll = (reason: string): void => {
    result.rejected.push(rejectionOf(delivery, 0, { code: 'SCHEMA_INVALID', reason }, delivery.payload));
  };
  const { payload } = delivery;
  if (delivery.pattern.endsWith('.pb')) {
    const split = splitReadings(typeof payload === 'string' ? Buffer.from(payload) : payload);
    if ('refused' in split) return refuseAll(split.refused);
    const problem = countParts(split.readings.length, delivery, result);
    if (problem !== null) return refuseAll(problem);
    return split.readings.forEach((bytes, part) =>
      validatePart(decodeReading(bytes), part, delivery, bytes, judge, at, result),
    );
  }
  const text = typeof payload === 'string' ? payload : textOf(payload);
  if (text === null) return refuseAll('The payload is not UTF-8 text.');
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch {
    return refuseAll('The payload is not JSON.');
  }
  if (!Array.isArray(input)) return validatePart(input, 0, delivery, text, judge, at, result);

  const problem = countParts(input.length, delivery, result);
  if (problem !== null) return refuseAll(problem);
  for (let part = 0; part < input.length; part++)
    validatePart(input[part], part, delivery, text, judge, at, result);
}

/** Each part of several is settled on its own. @returns what is wrong with their number, or null */
function countParts(parts: number, { delivery }: Delivery, result: Validation): string | null {
  if (parts === 0 || parts > readingsPerMessageMax) {
    return `The message holds ${parts} readings; 1 to ${readingsPerMessageMax} are allowed.`;
  }
  if (parts > 1 && delivery !== 0) result.splits.push({ delivery, parts });
  return null;
}

function validatePart(
  input: unknown,
  part: number,
  delivery: Delivery,
  payload: string | Buffer,
  judge: Judge,
  at: number,
  result: Validation,
): void {
  const verdict = judge(input, delivery.meter_id, delivery.topic, at);
  if ('code' in verdict) {
    result.rejected.push(rejectionOf(delivery, part, verdict, partOf(payload, part)));
    return;
  }
  result.valid.push({
    delivery: delivery.delivery,
    part,
    meter_id: delivery.meter_id,
    device_id: delivery.device_id,
    user_id: delivery.user_id,
    energy: verdict.energy,
    time: verdict.time,
    signature: verdict.signature,
    source: 'mqtt',
    received_at: delivery.received_at,
    topic: delivery.topic,
    qos: delivery.qos,
    payload,
    ...(delivery.qos === 0 && payload !== delivery.payload ? { message: delivery.payload } : {}),
  });
}

function rejectionOf(
  delivery: Delivery,
  part: number,
  refusal: Refusal,
  payload: string | Buffer,
): Rejection {
  const { device_id, meter_id, topic, qos, received_at } = delivery;
  const { code, reason } = refusal;
  return {
    delivery: delivery.delivery,
    part,
    device_id,
    meter_id,
    topic,
    qos,
    code,
    reason,
    payload,
    received_at,
  };
}

function judgeOne(input: unknown, context: ReadingContext, judge: Judge, at: number): Reading | Rejection {
  const { source, received_at, device_id = null, user_id = null } = context;
  const place = { delivery: 0, part: 0, device_id, topic: '', qos: 0, received_at } as const;
  const verdict = judge(input, context.meter_id ?? null, '', at);
  if ('code' in verdict) {
    return { ...place, ...verdict, meter_id: context.meter_id ?? null, payload: jsonOf(input) };
  }
  const { meter_id, energy, time, signature } = verdict;
  return { ...place, meter_id, user_id, energy, time, signature, source };
}

function textOf(payload: Buffer): string | null {
  return isUtf8(payload) ? payload.toString('utf8') : null;
}

/** For people only; deep nesting and cycles must not break a refusal. */
function jsonOf(input: unknown): string {
  try {
    return JSON.stringify(input) ?? String(input);
  } catch {
    return String(input);
  }
}

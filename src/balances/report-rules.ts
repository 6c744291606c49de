import { isUtf8 } from 'node:buffer';
import type { Delivery } from '../broker/delivery.js';
import type { Rejection } from '../readings/reading.js';
import { tenThousandths } from '../readings/rules.js';
import { parseTimestamp } from '../readings/timestamp.js';
import type { ConsumptionReport } from './report.js';

export interface ReportLimits {
  /** Most units of one report, included. */
  readonly unitsMax: number;
  /** Oldest report in days, included; 0: any, since energy that was used is owed, whatever the meter's clock says. */
  readonly ageMaxDays: number;
  /** How far a meter's clock may be ahead, included. */
  readonly aheadMaxMinutes: number;
}

export const defaultReportLimits: ReportLimits = { unitsMax: 100, ageMaxDays: 0, aheadMaxMinutes: 5 };

/** What a report says, energy in ten-thousandths of a unit, time in Unix ms. */
export interface Reported {
  readonly meterNo: string;
  readonly units: number;
  readonly remaining: number;
  readonly total: number | null;
  readonly time: number | null;
}

export interface Refusal {
  readonly code: 'SCHEMA_INVALID' | 'METER_MISMATCH' | 'CONSUMPTION_OUT_OF_RANGE' | 'TIMESTAMP_OUT_OF_WINDOW';
  readonly reason: string;
}

/** Of `numeric(14, 4)`, in ten-thousandths. */
const amountMax = 99_999_999_999_999;

/** A report as a meter's message brought it: valid, or refused with its reason. */
export function judgeDelivery(
  delivery: Delivery,
  limits: ReportLimits,
  now: number,
): ConsumptionReport | Rejection {
  const { topic, qos, payload, received_at, device_id, meter_id } = delivery;
  const place = { delivery: delivery.delivery, device_id, meter_id, topic, qos, payload, received_at };
  const reported = judgeReport(jsonOf(payload), limits, now);
  if ('code' in reported) return { ...place, part: 0, ...reported };
  const { meterNo, ...amounts } = reported;
  // The topic may name the meter by its drn ([M-12]).
  if (meterNo !== meter_id && meterNo !== topic.split('/', 2)[1]) {
    const reason = `meterNo is ${meterNo}; the report came from ${meter_id}.`;
    return { ...place, part: 0, code: 'METER_MISMATCH', reason };
  }
  return { ...place, ...amounts };
}

/** `input` is parsed JSON; unknown fields are ignored, `totalConsumed` and `timestamp` may be missing or null. */
export function judgeReport(input: unknown, limits: ReportLimits, now: number): Reported | Refusal {
  if (typeof input === 'string') return invalid(input);
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return invalid('The report must be an object');
  const { meterNo, unitsConsumed, remainingBalance, totalConsumed, timestamp } = input as Record<
    string,
    unknown
  >;
  if (typeof meterNo !== 'string' || !/^[A-Za-z0-9_-]{1,50}$/.test(meterNo))
    return invalid('meterNo must be a text of 1 to 50 letters, digits, _ or -');
  const units = energyOf(unitsConsumed);
  if (typeof units === 'string') return invalid(`unitsConsumed ${units}`);
  const remaining = energyOf(remainingBalance);
  if (typeof remaining === 'string') return invalid(`remainingBalance ${remaining}`);
  const total = totalConsumed === undefined || totalConsumed === null ? null : energyOf(totalConsumed);
  if (typeof total === 'string') return invalid(`totalConsumed ${total}`);
  const time = timeOf(timestamp);
  if (typeof time === 'string') return invalid(time);
  return checkReport(units, time, limits, now) ?? { meterNo, units, remaining, total, time };
}

/** The parsed payload, or a sentence that says why it is none. */
export function jsonOf(payload: string | Buffer): unknown {
  const isText = typeof payload === 'string' || isUtf8(payload);
  if (!isText) return 'The payload is not UTF-8 text';
  try {
    const value: unknown = JSON.parse(typeof payload === 'string' ? payload : payload.toString('utf8'));
    return typeof value === 'string' ? 'The payload must be an object' : value;
  } catch {
    return 'The payload is not JSON';
  }
}

/** Ten-thousandths of a unit, or what is wrong with it. */
export function energyOf(value: unknown): number | string {
  if (typeof value !== 'number' || !Number.isFinite(value)) return 'must be a number';
  const energy = tenThousandths(value);
  if (Number.isNaN(energy)) return `is ${value}; it has at most 4 decimals`;
  return Math.abs(energy) <= amountMax ? energy : `is ${value}; that is no balance`;
}

function timeOf(value: unknown): number | null | string {
  if (value === undefined || value === null) return null;
  const time = typeof value === 'string' || typeof value === 'number' ? parseTimestamp(value) : NaN;
  if (!Number.isNaN(time)) return time;
  return 'timestamp must be RFC 3339 with an offset, whole Unix milliseconds or whole Unix seconds';
}

/** The rules of amount and time; null when it keeps them. `units` in ten-thousandths, `time` and `now` in Unix ms. */
export function checkReport(
  units: number,
  time: number | null,
  limits: ReportLimits,
  now: number,
): Refusal | null {
  const { unitsMax, ageMaxDays, aheadMaxMinutes } = limits;
  if (!(units >= 0 && units <= Math.round(unitsMax * 10_000))) {
    const reason = `unitsConsumed is ${units / 10_000}; it must be from 0 to ${unitsMax}.`;
    return { code: 'CONSUMPTION_OUT_OF_RANGE', reason };
  }
  if (time === null) return null;
  const isOld = ageMaxDays > 0 && time < now - ageMaxDays * 86_400_000;
  if (!isOld && time <= now + aheadMaxMinutes * 60_000) return null;
  const window = `${ageMaxDays > 0 ? `at most ${ageMaxDays} days old and ` : 'at most '}${aheadMaxMinutes} minutes ahead`;
  return {
    code: 'TIMESTAMP_OUT_OF_WINDOW',
    reason: `timestamp is ${new Date(time).toISOString()}; it must be ${window}.`,
  };
}

function invalid(reason: string): Refusal {
  return { code: 'SCHEMA_INVALID', reason: `${reason}.` };
}

import type { Rejection } from '../readings/reading.js';

/** A consumption report ([M-2]) that keeps the rules. Plain data; energy in whole ten-thousandths of a unit. */
export interface ConsumptionReport {
  /** The delivery that carried it; 0 when nothing waits for it (QoS 0, or not from MQTT). */
  readonly delivery: number;
  readonly meter_id: string;
  readonly device_id: string | null;
  readonly units: number;
  /** What the meter says it has left. */
  readonly remaining: number;
  /** Since the meter's last start; null when it does not say. */
  readonly total: number | null;
  /** The meter's time, Unix ms; null when it does not say. */
  readonly time: number | null;
  /** Unix ms. */
  readonly received_at: number;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly payload: string | Buffer;
}

/** A report whose consumption is in the ledger. */
export interface AppliedReport extends ConsumptionReport {
  /** The ledger's balance after it, ten-thousandths of a unit. */
  readonly balance: number;
  /** This one took the balance below the threshold. */
  readonly low: boolean;
}

/** Every report is in exactly one list. */
export interface ConsumptionResult {
  readonly applied: AppliedReport[];
  /** Known by its identity, with the same content: acknowledged, and moves nothing. */
  readonly duplicate: ConsumptionReport[];
  /** CONSUMPTION_CONFLICT: the identity of another report, with other content. */
  readonly rejected: Rejection[];
}

const dayMs = 86_400_000;

/**
 * Which report it is ([P-6]), best first: by its time; by the meter's counter and balance; by its content within 24
 * hours of the first. A report of the last kind has two names, of the day (UTC) of its arrival and of the day before,
 * so that the 24 hours can be found by equality; it is kept under the first.
 */
export function identitiesOf(report: ConsumptionReport): readonly [string, ...string[]] {
  const { time, total, remaining, units, received_at } = report;
  if (time !== null) return [`t:${time}`];
  if (total !== null) return [`c:${total}:${remaining}`];
  const day = Math.floor(received_at / dayMs);
  const content = `h:${units}:${remaining}`;
  return [`${content}:${day}`, `${content}:${day - 1}`];
}

export function rejectionOf(report: ConsumptionReport, code: string, reason: string): Rejection {
  const { delivery, device_id, meter_id, topic, qos, payload, received_at } = report;
  return { delivery, part: 0, device_id, meter_id, topic, qos, code, reason, payload, received_at };
}

import type { Session } from '../database/database.js';
import { findMeter } from '../ledger/find-meter.js';
import type { Rejection } from '../readings/reading.js';
import { judgeReport, type ReportLimits } from './report-rules.js';
import type { ConsumptionReport } from './report.js';

/**
 * Reports that no broker vouches for: a flow of the integrator's own, whatever its topic. Each names its meter itself,
 * by meter_id or drn; METER_UNKNOWN when there is none.
 */
export async function judgeOwnReports(
  session: Session,
  inputs: readonly unknown[],
  topic: string,
  limits: ReportLimits,
  now: number,
): Promise<{ reports: ConsumptionReport[]; rejected: Rejection[] }> {
  const reports: ConsumptionReport[] = [];
  const rejected: Rejection[] = [];
  for (const input of inputs) {
    const place = { delivery: 0, topic, qos: 0, payload: textOf(input), received_at: now } as const;
    const reported = judgeReport(input, limits, now);
    if ('code' in reported) {
      rejected.push({ ...place, part: 0, device_id: null, meter_id: null, ...reported });
      continue;
    }
    const { meterNo, ...amounts } = reported;
    const meter = await findMeter(session, meterNo);
    if (meter === undefined) {
      const reason = `There is no meter "${meterNo}" in the registry.`;
      rejected.push({ ...place, part: 0, device_id: null, meter_id: null, code: 'METER_UNKNOWN', reason });
    } else reports.push({ ...place, ...amounts, meter_id: meter.meterId, device_id: meter.deviceId });
  }
  return { reports, rejected };
}

/** For people only; a cycle must not break a refusal. */
function textOf(input: unknown): string {
  try {
    return JSON.stringify(input) ?? String(input);
  } catch {
    return String(input);
  }
}

import type { Session } from '../database/database.js';
import { ensureAccounts, systemAccount } from '../ledger/accounts.js';
import type { Rejection } from '../readings/reading.js';
import { decideReports, type Row } from './consumption-decision.js';
import { insertConsumption, insertIdle, lockUnits, selectKnown } from './consumption-store.js';
import { checkReport, defaultReportLimits, judgeDelivery } from './report-rules.js';
import { identitiesOf, rejectionOf, type ConsumptionReport } from './report.js';
import { wantCommands } from './wanted-commands.js';

/** A quarantined message of a device that is in the registry. */
export interface ConsumptionMessage {
  readonly device_id: string;
  readonly meter_id: string;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly payload: string | Buffer;
  /** Unix ms. */
  readonly received_at: number;
}

/** What an operator corrects: the report's time, Unix ms, or so much of it. */
export interface TimeCorrection {
  readonly time: number | null;
  readonly offsetMs: number;
}

export type ReplayedConsumption =
  | { readonly outcome: 'applied' | 'duplicate'; readonly time: number | null }
  | { readonly outcome: 'refused'; readonly rejection: Rejection };

export function carriesConsumption({ topic }: { readonly topic: string }): boolean {
  return /^smartmeter\/[^/]+\/consumption$/.test(topic);
}

/**
 * Deducts a report that was quarantined, once, by the rules of now and the time rule of its arrival, inside the
 * transaction that marks it as replayed. The meter is told its balance.
 */
export async function replayConsumption(
  tx: Session,
  message: ConsumptionMessage,
  correction: TimeCorrection,
): Promise<ReplayedConsumption> {
  const pattern = 'smartmeter/+/consumption';
  const anyTime = { ...defaultReportLimits, ageMaxDays: 0, aheadMaxMinutes: Infinity };
  const judged = judgeDelivery(
    { ...message, delivery: 0, pattern, user_id: null },
    anyTime,
    message.received_at,
  );
  if ('code' in judged) return { outcome: 'refused', rejection: judged };
  const report = { ...judged, time: corrected(judged.time, correction) };
  const refusal = checkReport(report.units, report.time, defaultReportLimits, message.received_at);
  if (refusal !== null)
    return { outcome: 'refused', rejection: rejectionOf(judged, refusal.code, refusal.reason) };
  return apply(tx, report);
}

async function apply(tx: Session, report: ConsumptionReport): Promise<ReplayedConsumption> {
  const { meter_id } = report;
  const names = identitiesOf(report);
  const row: Row = { report, names, outcome: null, balance: 0, low: false, code: '', reason: '' };
  await ensureAccounts(tx, [meter_id], null);
  const accounts = await lockUnits(tx, [meter_id]);
  const known = await selectKnown(
    tx,
    names.map(() => meter_id),
    names,
  );
  const news = decideReports([row], accounts, known, 0);
  if (row.outcome === 'rejected')
    return { outcome: 'refused', rejection: rejectionOf(report, row.code, row.reason) };
  if (news.length === 0) return { outcome: 'duplicate', time: report.time };
  if (report.units > 0) await insertConsumption(tx, news, await systemAccount(tx, 'consumed'));
  else await insertIdle(tx, news);
  await wantCommands(tx, [meter_id], 'replay');
  return { outcome: 'applied', time: report.time };
}

/** A report without a time stays without one, unless it is given one. */
function corrected(time: number | null, { time: right, offsetMs }: TimeCorrection): number | null {
  if (right !== null) return right;
  return time === null ? null : time + offsetMs;
}

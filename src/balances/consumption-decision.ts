import type { KnownReport, NewReport, UnitsAccount } from './consumption-store.js';
import type { ConsumptionReport } from './report.js';

/** A report on its way through a transaction; the outcome is true once that has committed. */
export interface Row {
  readonly report: ConsumptionReport;
  readonly names: readonly [string, ...string[]];
  outcome: 'applied' | 'duplicate' | 'rejected' | null;
  /** The ledger's balance after it, ten-thousandths of a unit. */
  balance: number;
  low: boolean;
  code: string;
  reason: string;
}

/** What of a report must be the same in a repeat. */
type Content = Pick<KnownReport, 'units' | 'remaining' | 'total' | 'received_at'>;

const dayMs = 86_400_000;

/** Says of each row what becomes of it, in the order of arrival. @returns what is new */
export function decideReports(
  rows: readonly Row[],
  accounts: ReadonlyMap<string, UnitsAccount>,
  known: readonly KnownReport[],
  lowUnits: number,
): NewReport[] {
  const kept = new Map<string, Content>(known.map((one) => [keyOf(one.meter_id, one.identity), one]));
  const balances = new Map<string, number>();
  const news: NewReport[] = [];
  for (const row of rows) {
    const { report, names } = row;
    const { meter_id, units, remaining, total, time, received_at } = report;
    const account = accounts.get(meter_id);
    if (account === undefined) continue;
    const before = balances.get(meter_id) ?? account.balance;
    row.low = false;
    row.balance = before;
    if (isKnown(row, kept)) continue;
    const identity = names[0];
    const balance = before - units;
    kept.set(keyOf(meter_id, identity), report);
    balances.set(meter_id, balance);
    row.outcome = 'applied';
    row.balance = balance;
    row.low = before > lowUnits && balance <= lowUnits;
    news.push({
      meter_id,
      identity,
      account: account.id,
      units,
      remaining,
      total,
      time,
      received_at,
      balance,
    });
  }
  return news;
}

function isKnown(row: Row, kept: ReadonlyMap<string, Content>): boolean {
  const { report, names } = row;
  for (const [index, name] of names.entries()) {
    const found = kept.get(keyOf(report.meter_id, name));
    // By its content alone a report is the same for 24 hours; the second name is that of the day before.
    if (found === undefined || (index > 0 && report.received_at - found.received_at >= dayMs)) continue;
    if (
      found.units === report.units &&
      found.remaining === report.remaining &&
      found.total === report.total
    ) {
      row.outcome = 'duplicate';
    } else {
      row.outcome = 'rejected';
      row.code = 'CONSUMPTION_CONFLICT';
      row.reason = `Another report of ${report.meter_id} has the same ${whatOf(report)}: ${wordsOf(found)}; this one says ${wordsOf(report)}.`;
    }
    return true;
  }
  return false;
}

function whatOf({ time }: ConsumptionReport): string {
  return time === null ? 'counter and balance' : `timestamp ${new Date(time).toISOString()}`;
}

function wordsOf({ units, remaining, total }: Content | ConsumptionReport): string {
  const counter = total === null ? '' : `, ${total / 10_000} in all`;
  return `${units / 10_000} consumed, ${remaining / 10_000} left${counter}`;
}

function keyOf(meter_id: string, identity: string): string {
  return `${meter_id} ${identity}`;
}

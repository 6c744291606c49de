import { untilCommitted, type Database, type Session } from '../database/database.js';
import { ensureAccounts, systemAccount } from '../ledger/accounts.js';
import { metrics } from '../operation/metrics.js';
import { isDataError } from '../readings/commit.js';
import { createLane, type CommitOptions, type Lane } from '../readings/lane.js';
import {
  insertConsumption,
  insertIdle,
  lockUnits,
  selectKnown,
  type NewReport,
} from './consumption-store.js';
import { decideReports, type Row } from './consumption-decision.js';
import { compareBalances, type Drift } from './drift.js';
import {
  identitiesOf,
  rejectionOf,
  type AppliedReport,
  type ConsumptionReport,
  type ConsumptionResult,
} from './report.js';

export interface ConsumptionOptions {
  /** Transactions at a time. Each has its own meters. */
  readonly lanes?: number;
  /** Most reports of one transaction. */
  readonly batchMax?: number;
  /** A balance at or below it is low, ten-thousandths of a unit. */
  readonly lowUnits?: number;
  /** A meter whose balance differs by more is reported and answered, ten-thousandths of a unit. */
  readonly driftUnits?: number;
  /** Unix ms. */
  readonly now?: () => number;
  readonly onDrift?: (drifts: readonly Drift[]) => void;
}

export interface Consumption {
  /**
   * Takes each report out of its meter's balance exactly once ([P-6]). Resolves after the commit; holds while the
   * database is away ([M-13]); idempotent.
   */
  apply(reports: readonly ConsumptionReport[], options: CommitOptions): Promise<ConsumptionResult>;
}

/** A meter that reports every half minute does not mind: 10,000 of them share 40 transactions a second, not 300. */
const linger = { ms: 20, below: 200 };

/** Group commit: reports of many calls join a lane's next transaction, which is one entry in the ledger. */
export function createConsumption(database: Database, options: ConsumptionOptions = {}): Consumption {
  const { lanes: laneCount = 2, batchMax = 2_000, lowUnits = 10_000, driftUnits = 5_000 } = options;
  const { now = Date.now, onDrift = () => {} } = options;
  let consumed: Promise<string> | undefined;

  async function commitOnce(rows: readonly Row[]): Promise<void> {
    consumed ??= systemAccount(database, 'consumed');
    consumed.catch(() => (consumed = undefined));
    const account = await consumed;
    const meters = [...new Set(rows.map(({ report }) => report.meter_id))];
    for (;;) {
      const done = await database.transaction((tx) => enter(tx, rows, meters, account), { plans: 'indexes' });
      if (done.missing.length === 0) {
        if (done.drifts.length > 0) onDrift(done.drifts);
        return;
      }
      // In a transaction of its own: who waits for another's new account must not hold one that the other waits for.
      await ensureAccounts(database, done.missing, null);
    }
  }

  async function enter(
    tx: Session,
    rows: readonly Row[],
    meters: readonly string[],
    account: string,
  ): Promise<{ missing: string[]; drifts: Drift[] }> {
    const accounts = await lockUnits(tx, meters);
    const missing = meters.filter((meter) => !accounts.has(meter));
    if (missing.length > 0) return { missing, drifts: [] };
    const keys = rows.flatMap(({ report, names }) => names.map((name) => ({ meter: report.meter_id, name })));
    const known = await selectKnown(
      tx,
      keys.map(({ meter }) => meter),
      keys.map(({ name }) => name),
    );
    const news = decideReports(rows, accounts, known, lowUnits);
    await insert(tx, news, account);
    return { missing, drifts: await compareBalances(tx, rows, { driftUnits, now: now() }) };
  }

  async function commit(rows: readonly Row[], wait: Required<CommitOptions>): Promise<void> {
    try {
      await untilCommitted(database, () => commitOnce(rows), wait);
    } catch (error) {
      if (!isDataError(error)) throw error;
      const [row] = rows;
      if (row === undefined) return;
      if (rows.length === 1) return refuse(row, error);
      // One report that the database cannot take must not hold up the others: find it by halves.
      const half = Math.ceil(rows.length / 2);
      await commit(rows.slice(0, half), wait);
      await commit(rows.slice(half), wait);
    }
  }

  const lanes: Lane<Row>[] = Array.from({ length: laneCount }, () =>
    createLane<Row>({ batchMax, linger, commit }),
  );
  return {
    async apply(reports, wait) {
      const begun = performance.now();
      const rows: Row[] = reports.map(rowOf);
      await Promise.all(
        lanes.map((lane, index) =>
          lane.add(
            laneCount === 1
              ? rows
              : rows.filter(({ report }) => laneOf(report.meter_id, laneCount) === index),
            wait,
          ),
        ),
      );
      const result = sort(rows);
      countOutcomes(result, (performance.now() - begun) / 1000);
      return result;
    },
  };
}

async function insert(tx: Session, news: readonly NewReport[], consumed: string): Promise<void> {
  if (news.length === 0) return;
  if (news.some(({ units }) => units > 0)) await insertConsumption(tx, news, consumed);
  else await insertIdle(tx, news);
}

function rowOf(report: ConsumptionReport): Row {
  return { report, names: identitiesOf(report), outcome: null, balance: 0, low: false, reason: '', code: '' };
}

/** FNV-1a, so that a meter's reports stay in order. */
function laneOf(meter_id: string, count: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < meter_id.length; index++) {
    hash = Math.imul(hash ^ meter_id.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % count;
}

function refuse(row: Row, error: unknown): void {
  row.outcome = 'rejected';
  row.code = 'SCHEMA_INVALID';
  row.reason = `The database does not take it: ${error instanceof Error ? error.message : String(error)}.`;
}

function sort(rows: readonly Row[]): ConsumptionResult {
  const result: ConsumptionResult = { applied: [], duplicate: [], rejected: [] };
  for (const { report, outcome, balance, low, code, reason } of rows) {
    if (outcome === 'applied') result.applied.push({ ...report, balance, low } satisfies AppliedReport);
    else if (outcome === 'duplicate') result.duplicate.push(report);
    else result.rejected.push(rejectionOf(report, code, reason));
  }
  return result;
}

function countOutcomes({ applied, duplicate, rejected }: ConsumptionResult, seconds: number): void {
  metrics.consumptionReports.inc({ outcome: 'applied' }, applied.length);
  metrics.consumptionReports.inc({ outcome: 'duplicate' }, duplicate.length);
  metrics.consumptionReports.inc({ outcome: 'rejected' }, rejected.length);
  metrics.consumptionSeconds.observe(seconds);
  let moved = 0;
  let energy = 0;
  for (const { units } of applied) {
    if (units === 0) continue;
    moved += 1;
    energy += units;
  }
  metrics.balanceUpdates.inc(moved);
  metrics.consumptionKwh.inc(energy / 10_000);
}

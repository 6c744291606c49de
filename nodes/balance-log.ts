import type { Node } from 'node-red';
import type { Drift } from '../src/balances/drift.js';
import type { AppliedReport } from '../src/balances/report.js';

/** Of so many meters the reports can be read in the log; the others are there with the level debug. */
const linesPerSecond = 20;
/** A database that is away is one line, not one for each attempt. */
const heldEveryMs = 10_000;

/** The lines that integrators look for. */
export function createReportLog(node: Node) {
  let lines = 0;
  let unsaid = 0;
  let heldAt = -Infinity;
  const timer = setInterval(() => {
    if (unsaid > 0) node.log(`Consumption report - ${unsaid.toLocaleString('en')} more in this second`);
    lines = 0;
    unsaid = 0;
  }, 1000);
  timer.unref();
  return {
    applied(reports: readonly AppliedReport[]): void {
      for (const { meter_id, units, balance, low } of reports) {
        if (lines < linesPerSecond) {
          lines += 1;
          node.log(`Consumption report - Meter: ${meter_id}, Units: ${units / 10_000}`);
        } else unsaid += 1;
        if (low) node.log(`Low balance - Meter: ${meter_id}, Balance: ${(balance / 10_000).toFixed(4)}`);
      }
    },
    held(reason: string): void {
      if (performance.now() - heldAt < heldEveryMs) return;
      heldAt = performance.now();
      node.warn(
        `Failed to update balance: ${reason} It is tried again, and nothing is acknowledged meanwhile.`,
      );
    },
    /** Once per episode. */
    drifts(drifts: readonly Drift[]): void {
      for (const { meter_id, ledger_balance, meter_balance, occurrences } of drifts) {
        if (occurrences > 1) continue;
        node.warn(
          `Balance drift - Meter: ${meter_id}, Ledger: ${ledger_balance}, Meter's own: ${meter_balance}`,
        );
      }
    },
    stop: () => clearInterval(timer),
  };
}

/** One report per failure: the line, with its code for Catch. */
export function updateFailure(error: unknown): Error {
  const reason = error instanceof Error ? error.message : String(error);
  const failure = new Error(`Failed to update balance: ${reason}`, { cause: error });
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : 'INTERNAL';
  return Object.assign(failure, { code });
}

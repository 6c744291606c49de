/** One consumption report ([M-2]); energy in ten-thousandths of a unit, the time in Unix ms. Once made it stays. */
export interface Report {
  readonly units: number;
  /** The meter's balance after it. */
  readonly remaining: number;
  /** Of this session. */
  readonly total: number;
  readonly timestamp: number;
}

/** Reports until the broker has acknowledged them, oldest first. */
export interface ReportBuffer {
  add(report: Report): void;
  /** The oldest that is not under way; it is under way from now on. */
  next(): Report | undefined;
  acknowledged(report: Report): void;
  /** It did not arrive, or nobody knows: it is the next one again. */
  returned(report: Report): void;
  /** The connection is gone for good: the same for all that are under way. */
  allReturned(): void;
  readonly size: number;
  readonly underWay: number;
  /** Sent at least once: the ledger may have them or not. */
  readonly unsure: number;
  /** The energy of all reports in it. */
  readonly units: number;
  /** Reports that were merged into a neighbour for want of room. */
  readonly merged: number;
}

interface Kept {
  report: Report;
  isUnderWay: boolean;
  /** It may be known to the back end under its timestamp, so its content is settled. */
  wasSent: boolean;
}

/** A report with more than 100 units is refused ([M-2]); 30 s of a posho mill are 0.08. */
const unitsMax = 1_000_000;

/** Holds at most `reportsMax`; beyond that the oldest are merged, so that no energy is lost, only the time resolution. */
export function createReportBuffer(reportsMax: number): ReportBuffer {
  const kept: Kept[] = [];
  let merged = 0;

  function mergeOldest(): void {
    const neighbours = (limit: number): number =>
      kept.findIndex((one, index) => {
        const next = kept[index + 1];
        return (
          next !== undefined && !one.wasSent && !next.wasSent && one.report.units + next.report.units <= limit
        );
      });
    const within = neighbours(unitsMax);
    // Above the limit it ends in quarantine, where a person finds it; lost it would be found by nobody.
    const first = within >= 0 ? within : neighbours(Number.MAX_SAFE_INTEGER);
    const [older, newer] = [kept[first], kept[first + 1]];
    if (older === undefined || newer === undefined) return;
    newer.report = { ...newer.report, units: older.report.units + newer.report.units };
    kept.splice(first, 1);
    merged += 1;
  }

  return {
    add(report) {
      kept.push({ report, isUnderWay: false, wasSent: false });
      if (kept.length > reportsMax) mergeOldest();
    },
    next() {
      const one = kept.find((each) => !each.isUnderWay);
      if (one === undefined) return undefined;
      one.isUnderWay = true;
      one.wasSent = true;
      return one.report;
    },
    acknowledged(report) {
      const index = kept.findIndex((one) => one.report === report);
      if (index >= 0) kept.splice(index, 1);
    },
    returned(report) {
      const one = kept.find((each) => each.report === report);
      if (one !== undefined) one.isUnderWay = false;
    },
    allReturned() {
      for (const one of kept) one.isUnderWay = false;
    },
    get size() {
      return kept.length;
    },
    get underWay() {
      return kept.filter((one) => one.isUnderWay).length;
    },
    get unsure() {
      return kept.filter((one) => one.wasSent).length;
    },
    get units() {
      return kept.reduce((sum, one) => sum + one.report.units, 0);
    },
    get merged() {
      return merged;
    },
  };
}

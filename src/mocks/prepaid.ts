import { relayAt, type Relay } from './relay.js';
import { createReportBuffer, type Report, type ReportBuffer } from './report-buffer.js';

/** [M-6]; `balance` in ten-thousandths of a unit, `timestamp` in ms. */
export interface BalanceCommand {
  readonly balance: number;
  readonly timestamp: number;
}

export interface PrepaidOptions {
  readonly reportSeconds: number;
  /** The bound of the offline buffer. */
  readonly reportsMax: number;
}

/**
 * The money side of a meter's firmware, without a network: its balance, its relay, what it has deducted and not yet
 * reported. Energy in ten-thousandths of a unit; time is passed in.
 */
export interface Prepaid {
  /** Null until the back end has said it. */
  readonly balance: number | null;
  readonly relay: Relay;
  /** Consumed in this session; a reboot forgets it. */
  readonly total: number;
  readonly reports: ReportBuffer;
  /** What the load drew since the measurement before, deducted while the relay is on. */
  measure(now: number, watts: number): void;
  /** `taken`: the newest command so far; `repeated`: the very same again; `old`: overtaken by a newer one. */
  take(command: BalanceCommand): 'taken' | 'repeated' | 'old';
  /** Units of a token that this meter has taken. Without a balance they are in the first one that the back end says. */
  credit(units: number): void;
  /** The measurements since the last report as a report of their own, when it is time, or in any case. */
  close(now: number, when: 'due' | 'always'): Report | undefined;
  /** What is in NVS stays: balance, last command, reports, the measured rest. The session begins anew. */
  reboot(now: number): void;
}

/** 0.0001 kWh in milliwatt-hours' small change: watts × milliseconds. Whole watts keep the sum exact. */
const wattMsPerUnit = 360_000;
/** After a longer gap this process slept: a meter without power, which measures nothing. */
const gapMaxMs = 5 * 60_000;

export function createPrepaid({ reportSeconds, reportsMax }: PrepaidOptions, startedAt: number): Prepaid {
  const reports = createReportBuffer(reportsMax);
  let balance: number | null = null;
  let lastCommand = -Infinity;
  let total = 0;
  /** Deducted, in no report yet. */
  let unreported = 0;
  /** Below 0.0001 kWh, in watt-milliseconds: the next measurement's. */
  let carried = 0;
  let measuredAt = startedAt;
  let closedAt = startedAt;
  let lastTimestamp = 0;

  function measure(now: number, watts: number): void {
    const elapsed = now - measuredAt;
    measuredAt = now;
    if (elapsed <= 0 || elapsed > gapMaxMs || balance === null || relayAt(balance) === 'off') return;
    carried += Math.round(watts) * elapsed;
    const measured = Math.floor(carried / wattMsPerUnit);
    // The relay opens at the instant when the balance is used up; nothing flows after it.
    const used = Math.min(measured, balance);
    carried = used === balance ? 0 : carried - used * wattMsPerUnit;
    balance -= used;
    unreported += used;
    total += used;
  }

  function take(command: BalanceCommand): 'taken' | 'repeated' | 'old' {
    if (command.timestamp === lastCommand) return 'repeated';
    if (command.timestamp < lastCommand) return 'old';
    lastCommand = command.timestamp;
    // The ledger has deducted what it has acknowledged; the rest is on its way there, and gone all the same.
    balance = command.balance - unreported - reports.units;
    return 'taken';
  }

  function close(now: number, when: 'due' | 'always'): Report | undefined {
    // Abs: right also after the clock was set back.
    if (when === 'due' && Math.abs(now - closedAt) < reportSeconds * 1_000) return undefined;
    closedAt = now;
    if (unreported === 0 || balance === null) return undefined;
    // Its identity ([P-6]): never the same twice.
    lastTimestamp = Math.max(now, lastTimestamp + 1);
    const report = { units: unreported, remaining: balance, total, timestamp: lastTimestamp };
    unreported = 0;
    reports.add(report);
    return report;
  }

  return {
    get balance() {
      return balance;
    },
    get relay() {
      return relayAt(balance);
    },
    get total() {
      return total;
    },
    reports,
    measure,
    take,
    credit(units) {
      if (balance !== null) balance += units;
    },
    close,
    reboot(now) {
      total = 0;
      measuredAt = now;
      closedAt = now;
    },
  };
}

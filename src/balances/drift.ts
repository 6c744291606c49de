import type { Session } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import type { Row } from './consumption-decision.js';
import {
  resolveDrifts,
  selectLateUnits,
  selectSuspects,
  upsertDrifts,
  type Comparison,
  type Disagreement,
  type Suspect,
} from './drift-store.js';
import { wantAnotherCommand, wantCommands, wantCommandsLater } from './wanted-commands.js';

/** A meter whose own balance is not the ledger's. Units as numbers of at most 4 decimals, times RFC 3339. */
export interface Drift {
  readonly meter_id: string;
  readonly ledger_balance: number;
  readonly meter_balance: number;
  /** What the meter has too much; negative: too little. */
  readonly difference: number;
  /** How often it said so in this episode. */
  readonly occurrences: number;
  readonly first_at: string;
}

export interface CompareOptions {
  /** Ten-thousandths of a unit. */
  readonly driftUnits: number;
  /** Unix ms. */
  readonly now: number;
}

/** Firmware that counts in floats is off by some ten-thousandths; that is no reason to talk. */
const tolerance = 10;
/** What is reported later was measured before other things happened, so it says nothing about now. */
const freshMs = 10 * 60_000;
/** A meter that never comes to terms with the ledger by so little is told not more often than this. */
const quietMs = 60_000;

/** Reports of before a command that come in after it were queued in a broker, or crossed it; more may follow. */
const settleMs = 5_000;

/** What of a meter's reports in one commit matters here. */
interface Said extends Comparison {
  readonly ledger: number;
  /** Of the newest report, Unix ms; null when it has no time. */
  readonly newest: number | null;
  readonly isFresh: boolean;
  readonly rows: readonly Row[];
}

/**
 * Compares what meters say they have left with the ledger, inside the transaction that applied their reports. The
 * ledger is always right ([P-6]): a meter that is off is told its balance, one that is off by more than the threshold
 * is reported, too. What was measured or sent before the meter had its last command proves nothing.
 * @returns the drifts beyond the threshold
 */
export async function compareBalances(
  tx: Session,
  rows: readonly Row[],
  { driftUnits, now }: CompareOptions,
): Promise<Drift[]> {
  const meters = saidBy(rows, now);
  if (meters.length === 0) return [];
  const suspects = await selectSuspects(tx, meters, tolerance);
  const late: string[] = [];
  const crossed: string[] = [];
  const beyond: Disagreement[] = [];
  const resolved: string[] = [];
  const quiet: string[] = [];
  for (const suspect of suspects) {
    const said = meters[suspect.index];
    if (said === undefined) continue;
    const { meter_id, ledger, difference } = said;
    // The last command did not count them. A meter whose broker had acknowledged them cannot know, and may report no more.
    if (isLate(said, suspect.commanded) && Math.abs(difference) > tolerance) late.push(meter_id);
    else if (hasConsumed(said) && suspect.is_open) crossed.push(meter_id);
    else if (hasConsumed(said) && cameBefore(said, suspect.confirmed_at)) late.push(meter_id);
    switch (verdictOf(said, suspect, { driftUnits, now })) {
      case 'drift':
        beyond.push({ meter_id, ledger, meter: ledger + difference });
        break;
      case 'off':
        quiet.push(meter_id);
        break;
      case 'right':
        if (suspect.is_drifting) resolved.push(meter_id);
    }
  }
  if (late.length > 0) await wantCommandsLater(tx, late, settleMs);
  if (crossed.length > 0) await wantAnotherCommand(tx, crossed);
  if (resolved.length > 0) await resolveDrifts(tx, resolved);
  const drifting = await unexplained(tx, beyond);
  for (const one of beyond) if (!drifting.includes(one)) quiet.push(one.meter_id);
  if (quiet.length > 0) await wantCommands(tx, quiet, 'off');
  if (drifting.length === 0) return [];
  metrics.balanceDrifts.inc(drifting.length);
  const episodes = await upsertDrifts(tx, drifting);
  await wantCommands(
    tx,
    drifting.map(({ meter_id }) => meter_id),
    'drift',
  );
  return driftsOf(drifting, episodes);
}

/**
 * Without those that have exactly so much too much as they had buffered when they were told their balance: firmware
 * that simply takes a command over cannot know better.
 */
async function unexplained(tx: Session, found: readonly Disagreement[]): Promise<Disagreement[]> {
  if (found.length === 0) return [];
  const late = await selectLateUnits(
    tx,
    found.map(({ meter_id }) => meter_id),
  );
  return found.filter(
    ({ meter_id, ledger, meter }) => Math.abs(meter - ledger - (late.get(meter_id) ?? 0)) > tolerance,
  );
}

function verdictOf(
  said: Said,
  { commanded, sent_at, confirmed_at, is_open }: Suspect,
  { driftUnits, now }: CompareOptions,
): 'right' | 'off' | 'drift' | 'unknown' {
  const { newest, isFresh, difference } = said;
  // A command or a token is under way, or the report is older than the last command.
  if (is_open || !isFresh) return 'unknown';
  if (newest !== null && commanded !== null && newest < commanded) return 'unknown';
  // It came before the meter had the last command; the confirmation, which came after it, is stored sooner.
  if (cameBefore(said, confirmed_at)) return 'unknown';
  if (Math.abs(difference) <= tolerance) return 'right';
  if (Math.abs(difference) > driftUnits) return 'drift';
  return sent_at === null || now - sent_at >= quietMs ? 'off' : 'unknown';
}

function saidBy(rows: readonly Row[], now: number): Said[] {
  const byMeter = new Map<string, Row[]>();
  for (const row of rows) {
    if (row.outcome !== 'applied') continue;
    const before = byMeter.get(row.report.meter_id);
    if (before === undefined) byMeter.set(row.report.meter_id, [row]);
    else before.push(row);
  }
  const said: Said[] = [];
  for (const [meter_id, own] of byMeter) {
    let newest: Row | undefined;
    let oldest: number | null = null;
    for (const row of own) {
      const { time } = row.report;
      if (time !== null && (oldest === null || time < oldest)) oldest = time;
      if (newest === undefined || time === null || time >= (newest.report.time ?? -Infinity)) newest = row;
    }
    if (newest === undefined) continue;
    const { remaining, time, received_at: receivedAt } = newest.report;
    const ledger = own.at(-1)?.balance ?? newest.balance;
    const isFresh = time === null || now - time <= freshMs;
    const difference = remaining - ledger;
    said.push({ meter_id, difference, ledger, oldest, newest: time, receivedAt, isFresh, rows: own });
  }
  return said;
}

/** It said so before it had the last command. */
function cameBefore({ receivedAt }: Said, confirmedAt: number | null): boolean {
  return confirmedAt !== null && receivedAt <= confirmedAt;
}

function hasConsumed({ rows }: Said): boolean {
  return rows.some(({ report }) => report.units > 0);
}

/** It reports what it consumed before its last command. */
function isLate({ rows }: Said, commanded: number | null): boolean {
  return rows.some(
    ({ report: { time, units } }) => units > 0 && time !== null && time < (commanded ?? -Infinity),
  );
}

function driftsOf(
  found: readonly Disagreement[],
  episodes: readonly { meter_id: string; occurrences: number; first_at: Date }[],
): Drift[] {
  const byMeter = new Map(episodes.map((episode) => [episode.meter_id, episode]));
  return found.flatMap(({ meter_id, ledger, meter }) => {
    const episode = byMeter.get(meter_id);
    if (episode === undefined) return [];
    return {
      meter_id,
      ledger_balance: ledger / 10_000,
      meter_balance: meter / 10_000,
      difference: (meter - ledger) / 10_000,
      occurrences: episode.occurrences,
      first_at: episode.first_at.toISOString(),
    };
  });
}

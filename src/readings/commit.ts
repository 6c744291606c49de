import { changeOf } from '../cache/change.js';
import { changesOf } from '../cache/changes.js';
import { untilCommitted, type Database, type Session } from '../database/database.js';
import type { CommitOptions } from './lane.js';
import { createNeighbourhood, partByNeighbours } from './neighbours.js';
import type { Partitions } from './partitions.js';
import type { Reading } from './reading.js';
import { insertReadings, lockMeters, probeReadings, type Hit } from './reading-store.js';

/** A reading on its way through a transaction; the outcome is true once that has committed. */
export interface Row {
  readonly reading: Reading;
  /** Number of its meter's lock. */
  readonly lock: number;
  outcome: 'stored' | 'duplicate' | 'refused' | null;
  /** Refused by the spacing rule: time of the stored reading in its way, Unix ms. */
  neighbour: number;
  /** Refused by the database: what it says. */
  reason: string | null;
}

/** Decides the outcome of each row and commits it, however often that takes ([M-13]); caches hear of it. */
export async function commitReadings(
  database: Database,
  partitions: Partitions,
  rows: readonly Row[],
  spacingSeconds: number,
  wait: CommitOptions,
): Promise<void> {
  let attempts = 0;
  const attempt = (): Promise<void> => {
    attempts += 1;
    return commitOnce(database, partitions, rows, spacingSeconds);
  };
  try {
    await untilCommitted(database, attempt, wait);
    announce(database, attempts === 1 ? rows.filter(({ outcome }) => outcome === 'stored') : rows);
  } catch (error) {
    if (!isDataError(error)) {
      // Given up, and perhaps committed all the same.
      announce(database, rows);
      throw error;
    }
    const [row] = rows;
    if (row === undefined) return;
    if (rows.length === 1) return refuse(row, error);
    // One row that the database cannot take must not hold up the others: find it by halves.
    const half = Math.ceil(rows.length / 2);
    await commitReadings(database, partitions, rows.slice(0, half), spacingSeconds, wait);
    await commitReadings(database, partitions, rows.slice(half), spacingSeconds, wait);
  }
}

/** After the commit. A row that an attempt before ours has committed looks like a duplicate. */
function announce(database: Database, rows: readonly Row[]): void {
  if (rows.length > 0) changesOf(database).committed(changeOf(rows.map(({ reading }) => reading)));
}

async function commitOnce(
  database: Database,
  partitions: Partitions,
  rows: readonly Row[],
  spacingSeconds: number,
): Promise<void> {
  const times = rows.map(({ reading }) => reading.time);
  await inPartitions(partitions, times, () => database.transaction((tx) => decide(tx, rows, spacingSeconds)));
}

/**
 * Does `work` with the partitions of these times (Unix ms) in place. Again at once when somebody dropped a partition or
 * inserted without our locks; the next look knows what is there.
 */
export async function inPartitions<T>(
  partitions: Partitions,
  times: readonly number[],
  work: () => Promise<T>,
): Promise<T> {
  for (let turn = 1; ; turn++) {
    try {
      await partitions.ensure(times);
      return await work();
    } catch (error) {
      if (turn === 3 || !isRace(error)) throw error;
      partitions.forget();
    }
  }
}

/** Inserts what may be stored, inside a transaction of the caller's, and says of each row what became of it. */
export async function decide(tx: Session, rows: readonly Row[], spacingSeconds: number): Promise<void> {
  await lockMeters(tx, [...new Set(rows.map(({ lock }) => lock))]);
  const { first, later } = partByNeighbours(rows, spacingSeconds);
  applyHits(first, await insertReadings(tx, readingsOf(first), spacingSeconds));
  if (later.length === 0) return;

  applyHits(later, await probeReadings(tx, readingsOf(later), spacingSeconds));
  const free = withoutNeighbours(later, spacingSeconds);
  if (free.length > 0) applyHits(free, await insertReadings(tx, readingsOf(free), spacingSeconds));
}

function applyHits(rows: readonly Row[], hits: readonly Hit[]): void {
  for (const row of rows) row.outcome = 'stored';
  for (const { index, same, stored } of hits) {
    const row = rows[index];
    if (row !== undefined) apply(row, same, stored);
  }
}

function apply(row: Row, same: boolean, stored: number): void {
  row.outcome = same ? 'duplicate' : 'refused';
  row.neighbour = stored;
}

/** Those that nothing stored is in the way of, without those that are in each other's way: the first to arrive stays. */
function withoutNeighbours(rows: readonly Row[], spacingSeconds: number): Row[] {
  const neighbourhood = createNeighbourhood(spacingSeconds);
  const free: Row[] = [];
  for (const row of rows) {
    if (row.outcome !== 'stored') continue;
    const other = neighbourhood.find(row.reading);
    if (other === null) {
      neighbourhood.add(row.reading);
      free.push(row);
    } else {
      apply(row, other.time === row.reading.time && other.energy === row.reading.energy, other.time);
    }
  }
  return free;
}

function readingsOf(rows: readonly Row[]): Reading[] {
  return rows.map(({ reading }) => reading);
}

function refuse(row: Row, error: unknown): void {
  row.outcome = 'refused';
  row.reason = `The database does not take it: ${error instanceof Error ? error.message : String(error)}.`;
}

/** SQLSTATE classes 22 and 23: a value, not the server, is at fault. */
export function isDataError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^2[23]...$/.test(String(error.code));
}

function isRace(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  if (error.code === '23505') return true;
  // "no partition of relation found for row" has no constraint's name.
  return error.code === '23514' && !('constraint' in error && error.constraint !== undefined);
}

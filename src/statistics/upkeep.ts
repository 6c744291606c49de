import { setTimeout as delay } from 'node:timers/promises';
import { everything } from '../cache/change.js';
import { changesOf } from '../cache/changes.js';
import type { Database, Session } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import {
  countChanges,
  dropDaysBefore,
  findNextDay,
  guardDaysBefore,
  sealDay,
  passEmptyDays,
  takeUpkeepLock,
  writeChangesDown,
  type AgingTable,
} from './upkeep-store.js';
import { adoptTimescale, findStorage, refreshAggregates, setRetention, type Storage } from './timescale.js';

export interface UpkeepOptions {
  /** Days that are kept before today; null: for ever. */
  readonly readingDays?: number | null;
  readonly messageDays?: number | null;
  /** A day is written down when it is so many days old: no reading may come later by the usual rules. */
  readonly sealAfterDays?: number;
  readonly everyMs?: number;
  /** Between two looks at what was noted since. */
  readonly changesEveryMs?: number;
  /** A part of a round that failed; the next round comes all the same. */
  readonly onError?: (error: unknown) => void;
  /** What people should know, once. */
  readonly onNotice?: (notice: string) => void;
  /** Unix ms. */
  readonly now?: () => number;
}

export interface Upkeep {
  /** After the first round. */
  readonly ready: Promise<void>;
  /** A whole round now; resolves when it is over. */
  round(): Promise<void>;
  /** Begins nothing new; resolves when what was under way is over, at the latest after 1.5 s. */
  stop(): Promise<void>;
}

export const readingDaysDefault = 365;
export const messageDaysDefault = 365;
/** [section 5]: a reading is at most 7 days old, and days end at different times. */
export const sealAfterDaysDefault = 8;

const dayMs = 86_400_000;
const notesMax = 5_000;

/**
 * Looks after the tables that grow with time: statistics of days that are over, days beyond their age dropped. Every
 * instance does it; a lock lets one at a time. Whatever is left undone costs speed only, never a right answer, except
 * that old days stay.
 */
export function keepUp(database: Database, options: UpkeepOptions = {}): Upkeep {
  const {
    onError = () => {},
    onNotice = () => {},
    now = Date.now,
    everyMs = 3_600_000,
    changesEveryMs = 10_000,
  } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const { readingDays = null, messageDays = null } = options;
  let turn: Promise<void> = Promise.resolve();
  let storage: Storage | null = null;

  /** One after the other: a round may take longer than the time between two. */
  function inTurn(steps: () => Promise<void>): Promise<void> {
    const before = turn;
    const mine = async (): Promise<void> => {
      await before;
      if (!signal.aborted) await steps();
    };
    turn = mine();
    return turn;
  }

  async function attempt(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
  }

  /** Null when another instance is at work. */
  function locked<T>(work: (tx: Session) => Promise<T>): Promise<T | null> {
    return database.transaction(async (tx) => ((await takeUpkeepLock(tx)) ? work(tx) : null));
  }

  async function workOffChanges(): Promise<void> {
    const waiting = await countChanges(database);
    metrics.statisticsNotes.set(waiting);
    for (let left = waiting; left > 0 && !signal.aborted;) {
      const done = await locked((tx) => writeChangesDown(tx, notesMax));
      left = done === notesMax ? left - done : 0;
    }
  }

  const sealBefore = (): string => dayBefore(now(), options.sealAfterDays ?? sealAfterDaysDefault);

  async function seal(): Promise<void> {
    const before = sealBefore();
    let next = await locked(async (tx) => {
      await guardDaysBefore(tx, before);
      return findNextDay(tx, before);
    });
    while (next !== null && !signal.aborted) {
      const day = next;
      next = await locked(async (tx) => {
        // Somebody else may have done it meanwhile.
        if ((await findNextDay(tx, before)) === day) {
          await sealDay(tx, day);
          metrics.statisticsSealed.inc();
        }
        return findNextDay(tx, before);
      });
    }
    if (!signal.aborted) await locked((tx) => passEmptyDays(tx, before));
  }

  async function drop(table: AgingTable, days: number | null): Promise<void> {
    if (days === null) return;
    const dropped = await locked((tx) => dropDaysBefore(tx, table, dayBefore(now(), days)));
    if (dropped !== null && dropped > 0) metrics.partitionsDropped.inc({ table }, dropped);
  }

  /** Looked up once: TimescaleDB is taken into use at a start, while there are no readings yet. */
  async function knownStorage(): Promise<Storage> {
    const found = await findStorage(database);
    if (!found.installed || found.storage === 'hypertables') return found.storage;
    const adopted = await locked(adoptTimescale);
    if (adopted === false) onNotice(timescaleLate);
    return (await findStorage(database)).storage;
  }

  async function whole(): Promise<void> {
    await attempt(async () => {
      const known = storage;
      storage ??= await knownStorage();
      if (known === null && storage === 'hypertables') await setRetention(database, readingDays, messageDays);
    });
    if (storage === 'hypertables') {
      await attempt(() => refreshAggregates(database, sealBefore()));
      // Late readings count from now on, and what is too old went by the server's own clock.
      changesOf(database).committed(everything);
      return;
    }
    await attempt(() => drop('meter_readings', readingDays));
    await attempt(() => drop('device_messages', messageDays));
    await attempt(seal);
    await attempt(workOffChanges);
  }

  const round = (): Promise<void> => inTurn(whole);
  const ready = round();
  const rounds = setInterval(() => void round(), everyMs);
  const looks = setInterval(() => void inTurn(() => attempt(workOffChanges)), changesEveryMs);
  rounds.unref();
  looks.unref();
  return {
    ready,
    round,
    async stop() {
      stopping.abort();
      clearInterval(rounds);
      clearInterval(looks);
      // A day on its way is written down next time: its transaction ends with the connection.
      await Promise.race([turn, delay(1_500, undefined, { ref: false })]);
    },
  };
}

const timescaleLate =
  'TimescaleDB is installed, but there are readings already: they stay in partitions by day. docs/operating.md says how to move them.';

/** The day (UTC) that lies so many days before this moment. */
function dayBefore(now: number, days: number): string {
  return new Date(now - days * dayMs).toISOString().slice(0, 10);
}

import { isTransient, untilCommitted, type Database } from '../database/database.js';
import { beginAll, type Begun, type NewInjection } from './begin-store.js';
import { endAll, type Ending } from './ending-store.js';
import { createGathering } from './gathering.js';
import { noteAll, type Progress } from './progress-store.js';
import { sendAll, type Sending, type Sent } from './sending-store.js';
import { AccountsMissing, openAccounts } from './unit-account-store.js';

/** The records as the injections of this process write them: what comes together is committed together. */
export interface InjectionRecords {
  begin(injection: NewInjection): Promise<Begun>;
  /** Resolves after the commit: the token may leave. */
  send(sending: Sending): Promise<Sent>;
  /** Resolves after the commit: with false when it no longer waits. */
  note(progress: Progress): Promise<boolean>;
  /** Written with others a moment later, if it still waits then, and if the database is there: for people to look at. */
  noteLater(progress: Progress): void;
  /**
   * With the ledger's entry of a success. Tried again while the database is away, until `signal` aborts.
   * @returns false when it had ended before, or its token is booked by another record
   */
  end(ending: Ending, signal: AbortSignal): Promise<boolean>;
}

const itemsMax = 200;
/** One at a time: what comes meanwhile makes the next one larger, and half as many commits cost half as much. */
const batchesMax = 1;
const lingerMs = 250;

export function createInjectionRecords(database: Database): InjectionRecords {
  const begin = createGathering<NewInjection, Begun>({
    itemsMax,
    batchesMax,
    work: (news) => beginAll(database, news),
  });
  const note = createGathering<Progress, boolean>({
    itemsMax,
    batchesMax,
    work: (progress) => noteAll(database, progress),
  });
  const noteTogether = createGathering<Progress, boolean>({
    itemsMax: 10 * itemsMax,
    batchesMax,
    lingerMs,
    work: (progress) => noteAll(database, progress),
  });
  const send = createGathering<Sending, Sent>({
    itemsMax,
    batchesMax,
    work: (sendings) => sendAll(database, sendings),
  });
  const end = createGathering<Ending, boolean>({
    itemsMax,
    batchesMax,
    work: (endings) => endWithAccounts(database, endings),
  });
  return {
    begin: (injection) => repeated(() => begin(injection)),
    send: (sending) => repeated(() => send(sending)),
    note: (progress) => repeated(() => note(progress)),
    noteLater(progress) {
      noteTogether(progress).catch(() => {});
    },
    end: (ending, signal) => untilCommitted(database, () => end(ending), { signal }),
  };
}

async function endWithAccounts(database: Database, endings: readonly Ending[]): Promise<boolean[]> {
  try {
    return await database.transaction((tx) => endAll(tx, endings), { plans: 'indexes' });
  } catch (error) {
    if (!(error instanceof AccountsMissing)) throw error;
    await openAccounts(database, error.meterIds);
    return database.transaction((tx) => endAll(tx, endings), { plans: 'indexes' });
  }
}

/** Two transactions may have collided; a database that is away is told at once. */
async function repeated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (!isTransient(error) || code === 'DATABASE_UNAVAILABLE') throw error;
    return work();
  }
}

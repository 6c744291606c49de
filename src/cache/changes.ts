import { randomBytes } from 'node:crypto';
import type { Database } from '../database/database.js';
import { channel, everything, readChange, tellerOf, type Change } from './change.js';
import { createTelling, type Telling } from './telling.js';

/** A cache that has to forget. */
export interface Follower {
  /**
   * At once, before anything is awaited: nobody here is answered with what was read before.
   * @returns true when no other process can have it either; else the others have to be told. Never rejects.
   */
  forget(change: Change): Promise<boolean>;
}

/** What changes in one database, as this process hears of it. */
export interface Changes {
  /** Our own write, after its commit: known here at once, and at every other instance some milliseconds later. */
  committed(change: Change): void;
  /** A write that the database itself tells of: known here at once, too. */
  noticed(change: Change): void;
  /** Until the returned function is called. */
  follow(follower: Follower): () => Promise<void>;
  /** False while a change at another instance could be missed: nothing kept may be shown then. */
  readonly isHearing: boolean;
  /** Tells what is still to be told, for a second at most. */
  close(): Promise<void>;
}

const known = new WeakMap<Database, Changes>();

/** The same for everybody who uses this database. */
export function changesOf(database: Database): Changes {
  const found = known.get(database) ?? createChanges(database);
  known.set(database, found);
  return found;
}

function createChanges(database: Database): Changes {
  const teller = `i${randomBytes(5).toString('hex')}`;
  const followers = new Set<Follower>();
  let telling: Telling | null = null;
  let ear: Ear | null = null;
  let isClosed = false;

  /** The first is everything: a process of ours may have been killed between a commit and the telling of it. */
  function tell(change: Change): void {
    if (isClosed) return;
    telling ??= createTelling(database, teller, everything);
    telling.add(change);
  }

  async function spread(change: Change): Promise<void> {
    const answers = await Promise.all(Array.from(followers, (follower) => follower.forget(change)));
    if (answers.length === 0 || answers.includes(false)) tell(change);
  }

  function noticed(change: Change): void {
    for (const follower of followers) void follower.forget(change);
  }

  return {
    committed: (change) => void spread(change),
    noticed,
    follow(follower) {
      followers.add(follower);
      ear ??= listen(database, teller, noticed);
      if (telling === null) tell(everything);
      return async () => {
        followers.delete(follower);
        if (followers.size > 0) return;
        const last = ear;
        ear = null;
        await last?.close();
      };
    },
    get isHearing() {
      return ear?.isOpen === true && database.state === 'up';
    },
    async close() {
      isClosed = true;
      await telling?.close();
    },
  };
}

interface Ear {
  readonly isOpen: boolean;
  close(): Promise<void>;
}

/** Both channels: a device that is deleted or gets another name is told of by the registry. */
function listen(database: Database, teller: string, noticed: (change: Change) => void): Ear {
  let isOpen = false;
  const listening = Promise.all([
    database.listen(channel, {
      handler(text) {
        if (tellerOf(text) !== teller) noticed(readChange(text));
      },
      reset: () => noticed(everything),
    }),
    database.listen('registry_changed', {
      handler: (name) => noticed({ everything: false, meters: new Set([name]), users: new Set() }),
      reset: () => {},
    }),
  ]);
  void opened();

  async function opened(): Promise<void> {
    await listening;
    noticed(everything);
    isOpen = true;
  }

  return {
    get isOpen() {
      return isOpen;
    },
    async close() {
      const ends = await listening;
      isOpen = false;
      for (const end of ends) await end();
    },
  };
}

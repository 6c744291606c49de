import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import type { KnownCaller } from './caller.js';
import { createCallers, type Callers } from './callers.js';
import { createPasswords, type Passwords } from './passwords.js';
import { createTokens, type TokenSettings } from './tokens.js';

/** What makes two of them the same. */
export interface CallerSettings extends TokenSettings {
  /** `demo` or `open`: who sends nothing is its admin ([S-1]); whatever else: he is nobody. */
  readonly access: string;
}

/** Given back by `release`, once. */
export interface HeldCallers {
  readonly callers: Callers;
  /** The bound on hashes at once is the process's. */
  readonly passwords: Passwords;
  release(): void;
}

interface Shared {
  readonly callers: Callers;
  readonly passwords: Passwords;
  /** Of those who hold it, the latest last. */
  readonly databases: Database[];
}

const shared = new Map<string, Shared>();

/** Who asks with the same settings in this process shares what is known: accounts, and a provider's keys. */
export function acquireCallers(settings: CallerSettings, database: Database): HeldCallers {
  const key = JSON.stringify(settings);
  const present = shared.get(key) ?? open(settings);
  shared.set(key, present);
  present.databases.push(database);
  return {
    callers: present.callers,
    passwords: present.passwords,
    release() {
      const at = present.databases.indexOf(database);
      if (at >= 0) present.databases.splice(at, 1);
      if (present.databases.length === 0) shared.delete(key);
    },
  };
}

function open(settings: CallerSettings): Shared {
  const databases: Database[] = [];
  const callers = createCallers({
    database() {
      const database = databases.at(-1);
      if (database === undefined) throw new DomainError('DATABASE_UNAVAILABLE', 'There is no database.');
      return database;
    },
    tokens: createTokens(settings),
    stranger: isOpen(settings.access) ? demo : null,
  });
  return { callers, passwords: createPasswords(), databases };
}

export function isOpen(access: string): boolean {
  return access === 'demo' || access === 'open';
}

const demo: KnownCaller = {
  kind: 'demo',
  name: 'demo',
  user_id: null,
  role: 'admin',
  scopes: null,
  expires_at: null,
};

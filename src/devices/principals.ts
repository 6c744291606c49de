import { isDeepStrictEqual } from 'node:util';
import { untilCommitted, type Database } from '../database/database.js';
import type { Principal } from './access.js';
import { createBatched } from './batched.js';
import { secretMatches } from './credentials.js';
import { selectLogins, selectNameOwners, type Login } from './principal-store.js';

export type { DevicePrincipal, Principal } from './access.js';

/** The registry as the broker asks it: cached, and told of every change. */
export interface Directory {
  /** `unavailable` when the registry is out of reach: CONNACK 3, the device tries again. Never rejects. */
  authenticate(mqttUser: string, password: string): Promise<Principal | 'refused' | 'unavailable'>;
  /** The device that these names of a certificate mean, by meter_id or id. Never rejects. */
  identify(names: readonly string[]): Promise<Principal | 'refused' | 'unavailable'>;
  /** Who has logged in under this name elsewhere, at a broker that asks us. Never rejects. */
  principalOf(mqttUser: string): Promise<Principal | 'refused' | 'unavailable'>;
  /** True when a client id is the name of a device other than this user's ([M-12]). @throws DATABASE_UNAVAILABLE */
  nameTaken(clientId: string, byUser: string): Promise<boolean>;
  /** Called with the user whose row changed; null when any may have. */
  onChanged(listener: (mqttUser: string | null) => void): () => void;
  close(): Promise<void>;
}

export interface DirectoryOptions {
  readonly entriesMax?: number;
  readonly deadlineMs?: number;
}

/** Unknown users are remembered for this long, so that a misconfigured device costs no query per attempt. */
const unknownMs = 10_000;
const batch = { delayMs: 2, max: 1_000 };

interface Entry {
  /** Undefined: no such user. */
  readonly login: Login | undefined;
  readonly until: number;
}

export function createDirectory(
  database: Database,
  { entriesMax = 50_000, deadlineMs = 5_000 }: DirectoryOptions = {},
): Directory {
  /** Least recently used first. */
  const entries = new Map<string, Entry>();
  const loading = new Map<string, Promise<Login | undefined>>();
  /** What was cached when notifications may have been missed. */
  const suspects = new Map<string, Login | undefined>();
  const closing = new AbortController();
  let revalidating: Promise<void> | undefined;
  const listeners = new Set<(mqttUser: string | null) => void>();
  const loadLogin = createBatched((users) => selectLogins(database, users, deadlineMs), batch);
  const loadOwner = createBatched((names) => selectNameOwners(database, names, deadlineMs), batch);

  async function find(user: string): Promise<Login | undefined> {
    const entry = entries.get(user);
    // While the database is away changes are not heard of: a cached login proves nothing then.
    if (entry !== undefined && entry.until > performance.now() && database.state === 'up') {
      remember(user, entry);
      return entry.login;
    }
    await listening; // before the first row is read, or its change would be missed
    const loaded = loading.get(user) ?? loadLogin(user);
    loading.set(user, loaded);
    try {
      const login = await loaded;
      // A change that came meanwhile has taken the promise away: what was read may be the old row.
      if (loading.get(user) === loaded)
        remember(user, { login, until: login === undefined ? performance.now() + unknownMs : Infinity });
      return login;
    } finally {
      if (loading.get(user) === loaded) loading.delete(user);
    }
  }

  /** The one device that has such a name; a name that belongs to nobody says nothing, two devices refuse. */
  async function findNamed(names: readonly string[]): Promise<Login | undefined> {
    const owners = await Promise.all(names.map((name) => loadOwner(name)));
    const [owner, ...others] = new Set(owners.filter((found) => found !== undefined));
    if (owner === undefined || others.length > 0) return undefined;
    const login = await find(owner);
    if (login?.principal.kind !== 'device') return undefined;
    const { meter_id, device_id } = login.principal;
    return names.includes(meter_id) || names.includes(device_id) ? login : undefined;
  }

  function remember(user: string, entry: Entry): void {
    entries.delete(user);
    entries.set(user, entry);
    const [oldest] = entries.keys();
    if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest);
  }

  function forget(user: string): void {
    entries.delete(user);
    loading.delete(user);
    for (const listener of listeners) listener(user);
  }

  /** After a lost connection. Only users that did change are reported: the others stay connected. */
  function reset(): void {
    for (const [user, { login }] of entries) if (!suspects.has(user)) suspects.set(user, login);
    entries.clear();
    loading.clear();
    revalidating ??= revalidate()
      .catch(() => {}) // aborted by close
      .finally(() => (revalidating = undefined));
  }

  async function revalidate(): Promise<void> {
    while (suspects.size > 0 && !closing.signal.aborted) {
      const some = [...suspects].slice(0, batch.max);
      const users = some.map(([user]) => user);
      const load = () => selectLogins(database, users, deadlineMs);
      const found = await untilCommitted(database, load, { signal: closing.signal });
      for (const [user, login] of some) {
        suspects.delete(user);
        if (!isDeepStrictEqual(found.get(user), login)) forget(user);
      }
    }
  }

  // It never rejects: while the database is away, the next connection listens.
  const listening = database.listen('registry_changed', { handler: forget, reset });

  return {
    async authenticate(mqttUser, password) {
      if (!isName(mqttUser)) return 'refused';
      try {
        const login = await within(deadlineMs, find(mqttUser));
        if (login === undefined || login.revoked || !isPassword(password, login)) return 'refused';
        return login.principal;
      } catch {
        return 'unavailable';
      }
    },
    async identify(names) {
      try {
        const login = await within(deadlineMs, findNamed(names.filter(isName)));
        return login === undefined || login.revoked ? 'refused' : login.principal;
      } catch {
        return 'unavailable';
      }
    },
    async principalOf(mqttUser) {
      if (!isName(mqttUser)) return 'refused';
      try {
        const login = await within(deadlineMs, find(mqttUser));
        return login === undefined || login.revoked ? 'refused' : login.principal;
      } catch {
        return 'unavailable';
      }
    },
    async nameTaken(clientId, byUser) {
      if (clientId === byUser || !isName(clientId)) return false;
      const owner = await loadOwner(clientId);
      return owner !== undefined && owner !== byUser;
    },
    onChanged(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      closing.abort();
      await (
        await listening
      )();
      await revalidating;
    },
  };
}

/** The one before counts until the grace of its rotation is over ([H-4]). */
function isPassword(password: string, { password_hash, previous }: Login): boolean {
  if (secretMatches(password, password_hash)) return true;
  return previous !== null && previous.until > Date.now() && secretMatches(password, previous.password_hash);
}

/** Everything that the registry can name; the rest is not asked for. */
function isName(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,50}$/.test(text);
}

async function within<T>(deadlineMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

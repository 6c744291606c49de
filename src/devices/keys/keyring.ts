import { createSecretKey, type KeyObject } from 'node:crypto';
import { untilCommitted, type Database } from '../../database/database.js';
import { placeOf } from './device-keys.js';
import { defaultLifetime, expiresAt, type KeyLifetime } from './key.js';
import { selectMeters, type KeyOfMeter, type MeterRow } from './key-store.js';
import { createKeyUse, type KeyUse } from './key-use.js';
import type { MasterKey } from './master-key.js';

/** A key as signatures are verified with it. */
export type VerifyingKey = {
  readonly id: string;
  readonly revoked: boolean;
  /** Unix ms. */
  readonly expires: number;
} & (
  | {
      readonly algorithm: 'hmac-sha256';
      /** Null: it cannot be decrypted. */ readonly secret: KeyObject | null;
    }
  | { readonly algorithm: 'ed25519'; /** 64 hex digits. */ readonly publicKey: string }
);

/** What a meter's readings are judged by. */
export interface MeterKeys {
  /** False: no device of the registry has this meter_id. */
  readonly known: boolean;
  readonly device_id: string | null;
  readonly user_id: string | null;
  readonly revoked: boolean;
  /** Revoked and expired ones too, to tell them from wrong ones; those that count come first. */
  readonly keys: readonly VerifyingKey[];
}

/** The keys of the meters that send, kept in memory and true to the database. */
export interface Keyring {
  /** Undefined: not in memory, or not to be trusted while the database is away; ask `load`. */
  get(meterId: string): MeterKeys | undefined;
  /** Waits as long as the database is away. Rejects when the signal aborts. */
  load(meterIds: readonly string[], wait: { readonly signal: AbortSignal }): Promise<Map<string, MeterKeys>>;
  /**
   * No key in memory explains a signature of this meter: the news of another may still be on its way. True: forgotten,
   * ask `load`; not more than once a second for a meter, whatever it sends.
   */
  doubt(meterId: string): boolean;
  /** Notes the use of a key; it is written later, with others. */
  used(keyId: string, at: number): void;
  close(): Promise<void>;
}

export interface KeyringOptions {
  readonly lifetime?: KeyLifetime;
  /** Meters kept in memory; some 3 kB each. */
  readonly entriesMax?: number;
  /** How often uses are written. */
  readonly useEveryMs?: number;
  readonly onProblem?: (problem: string) => void;
}

const nobody: MeterKeys = { known: false, device_id: null, user_id: null, revoked: false, keys: [] };
const idsPerQuery = 1_000;
const queryTimeoutMs = 5_000;
const doubtEveryMs = 1_000;

export function createKeyring(
  database: Database,
  masterKey: MasterKey,
  options: KeyringOptions = {},
): Keyring {
  const { lifetime = defaultLifetime, entriesMax = 100_000, onProblem = () => undefined } = options;
  /** Oldest first. */
  const entries = new Map<string, MeterKeys>();
  /** For each load under way, the meters that changed meanwhile: what it read of them may be the old row. */
  const loads = new Set<Set<string | null>>();
  /** When a meter's keys were doubted last, oldest first. */
  const doubts = new Map<string, number>();
  const use: KeyUse = createKeyUse(database, lifetime, options.useEveryMs);
  const closing = new AbortController();
  /** The last problem, told once and not for each of ten thousand keys. */
  let told = '';

  function forget(meterId: string): void {
    entries.delete(meterId);
    for (const changed of loads) changed.add(meterId);
  }

  /** After a lost connection changes may have been missed. */
  function reset(): void {
    entries.clear();
    for (const changed of loads) changed.add(null);
  }

  // Never rejects: while the database is away, the next connection listens.
  const listening = database.listen('device_keys_changed', { handler: forget, reset });

  function doubt(meterId: string): boolean {
    const now = performance.now();
    if (now - (doubts.get(meterId) ?? -Infinity) < doubtEveryMs) return false;
    doubts.delete(meterId);
    doubts.set(meterId, now);
    const [oldest] = doubts.keys();
    if (doubts.size > entriesMax && oldest !== undefined) doubts.delete(oldest);
    entries.delete(meterId);
    return true;
  }

  async function read(meterIds: readonly string[]): Promise<[string, MeterKeys][]> {
    const changed = new Set<string | null>();
    loads.add(changed);
    try {
      const rows = await selectMeters(database, meterIds, queryTimeoutMs);
      const found = meterIds.map((id): [string, MeterKeys] => [id, asKeys(rows.get(id))]);
      for (const [id, keys] of found) if (!changed.has(id) && !changed.has(null)) remember(id, keys);
      return found;
    } finally {
      loads.delete(changed);
    }
  }

  function remember(meterId: string, keys: MeterKeys): void {
    entries.delete(meterId);
    entries.set(meterId, keys);
    const [oldest] = entries.keys();
    if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest);
  }

  function asKeys(row: MeterRow | undefined): MeterKeys {
    if (row === undefined) return nobody;
    const { meter_id, device_id, user_id, revoked } = row;
    const keys = (row.keys ?? []).map((key) => verifyingKey(key, meter_id));
    return { known: true, device_id, user_id, revoked, keys };
  }

  function verifyingKey(key: KeyOfMeter, meterId: string): VerifyingKey {
    const { id, revoked, algorithm, public_key } = key;
    const expires = expiresAt(key.created, key.grace_until, lifetime);
    if (algorithm === 'ed25519') return { id, revoked, expires, algorithm, publicKey: public_key };
    const secret = opened(Buffer.from(public_key, 'hex'), placeOf(id, meterId));
    return { id, revoked, expires, algorithm, secret };
  }

  /** One key that does not open must not keep other meters' readings waiting. With a wrong master key none opens. */
  function opened(sealed: Buffer, place: string): KeyObject | null {
    try {
      return createSecretKey(masterKey.open(sealed, place));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== told) onProblem(problem);
      told = problem;
      return null;
    }
  }

  return {
    get: (meterId) => (database.state === 'up' ? entries.get(meterId) : undefined),
    async load(meterIds, { signal }) {
      await listening; // before the first row is read, or its change would be missed
      const found = new Map<string, MeterKeys>();
      const missing: string[] = [];
      for (const id of new Set(meterIds)) {
        const keys = database.state === 'up' ? entries.get(id) : undefined;
        if (keys === undefined) missing.push(id);
        else found.set(id, keys);
      }
      if (missing.length === 0) return found;
      const wait = { signal: AbortSignal.any([signal, closing.signal]) };
      for (let from = 0; from < missing.length; from += idsPerQuery) {
        const some = missing.slice(from, from + idsPerQuery);
        for (const [id, keys] of await untilCommitted(database, () => read(some), wait)) found.set(id, keys);
      }
      return found;
    },
    doubt,
    used: (keyId, at) => use.note(keyId, at),
    async close() {
      closing.abort();
      await (
        await listening
      )();
      await use.close();
    },
  };
}

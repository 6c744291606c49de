import type { Session } from '../../database/database.js';
import { dueAt, expiresAt, type Algorithm, type KeyLifetime } from './key.js';
import { selectKeysOf, type ListedKey } from './key-store.js';

/** `current`: the one to sign with; `grace`: superseded, but good still; the others are refused. */
export type KeyState = 'current' | 'grace' | 'expired' | 'revoked';

/** A key without its secret. Times are RFC 3339 in UTC. */
export interface KnownKey {
  readonly key_id: string;
  readonly algorithm: Algorithm;
  readonly state: KeyState;
  /** The current one is to be rotated by now. */
  readonly due: boolean;
  readonly created_at: string;
  readonly due_at: string;
  readonly expires_at: string;
  readonly revoked_at: string | null;
  /** Up to a minute late. */
  readonly last_used_at: string | null;
}

export interface KeysOfDevice {
  readonly meter_id: string;
  /** Not null: its login is refused. */
  readonly revoked_at: string | null;
  /** Newest first. */
  readonly keys: readonly KnownKey[];
}

/** @returns undefined for a device that is not registered */
export async function listKeys(
  session: Session,
  name: string,
  lifetime: KeyLifetime,
  now = Date.now(),
): Promise<KeysOfDevice | undefined> {
  const found = await selectKeysOf(session, name);
  if (found === undefined) return undefined;
  const keys = found.keys.map((key) => known(key, lifetime, now));
  return { meter_id: found.meter_id, revoked_at: found.revoked_at?.toISOString() ?? null, keys };
}

function known(key: ListedKey, lifetime: KeyLifetime, now: number): KnownKey {
  const created = key.created_at.getTime();
  const due = dueAt(created, lifetime);
  const end = expiresAt(created, key.grace_until?.getTime() ?? null, lifetime);
  const state = stateOf(key, end, now);
  return {
    key_id: key.id,
    algorithm: key.algorithm,
    state,
    due: state === 'current' && due <= now,
    created_at: key.created_at.toISOString(),
    due_at: new Date(due).toISOString(),
    expires_at: new Date(end).toISOString(),
    revoked_at: key.revoked_at?.toISOString() ?? null,
    last_used_at: key.last_used_at?.toISOString() ?? null,
  };
}

function stateOf(key: ListedKey, end: number, now: number): KeyState {
  if (key.revoked_at !== null) return 'revoked';
  if (end <= now) return 'expired';
  return key.grace_until === null ? 'current' : 'grace';
}

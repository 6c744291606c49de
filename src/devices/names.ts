import type { Database } from '../database/database.js';
import { createBatched } from './batched.js';
import { selectNamedDevices, type NamedDevice } from './name-store.js';

export type { NamedDevice } from './name-store.js';

/** `meter`: `{m}` of a topic, a meter_id or drn; `device`: `{id}`. */
export type NameKind = 'meter' | 'device';

/** Devices by the names in their topics: cached, and told of every change. */
export interface DeviceNames {
  /** The device of this name, null when there is none; undefined: not known yet, ask `find`. */
  known(kind: NameKind, name: string): NamedDevice | null | undefined;
  /** @throws DATABASE_UNAVAILABLE */
  find(kind: NameKind, name: string): Promise<NamedDevice | null>;
  close(): Promise<void>;
}

const batch = { delayMs: 2, max: 1_000 };

/** @param entriesMax beyond it the oldest entry is forgotten and asked for again */
export function createDeviceNames(
  database: Database,
  { entriesMax = 100_000, deadlineMs = 5_000 } = {},
): DeviceNames {
  const devices = new Map<string, NamedDevice>();
  const keysOfUser = new Map<string, Set<string>>();
  /** Names that no device has; any change may give one of them away. */
  const unknown = new Set<string>();
  /** Grows with every change in the registry: what was asked before one may be the old row. */
  let changes = 0;

  const load = createBatched(async (keys) => {
    const before = changes;
    const names = [...new Set(keys.map((key) => key.slice(1)))];
    const found = byKey(await selectNamedDevices(database, names, deadlineMs));
    if (before === changes) for (const key of keys) remember(key, found.get(key) ?? null);
    return found;
  }, batch);

  function remember(key: string, device: NamedDevice | null): void {
    if (device === null) {
      if (unknown.size >= entriesMax) unknown.clear();
      unknown.add(key);
      return;
    }
    devices.set(key, device);
    const { user } = device.principal;
    const keys = keysOfUser.get(user) ?? new Set();
    keysOfUser.set(user, keys.add(key));
    const [oldest] = devices;
    if (devices.size > entriesMax && oldest !== undefined) forgetUser(oldest[1].principal.user);
  }

  function forgetUser(user: string): void {
    for (const key of keysOfUser.get(user) ?? []) devices.delete(key);
    keysOfUser.delete(user);
  }

  function forget(user: string): void {
    changes++;
    unknown.clear();
    forgetUser(user);
  }

  function reset(): void {
    changes++;
    unknown.clear();
    devices.clear();
    keysOfUser.clear();
  }

  // It never rejects: while the database is away, the next connection listens.
  const listening = database.listen('registry_changed', { handler: forget, reset });

  return {
    known(kind, name) {
      const key = keyOf(kind, name);
      return devices.get(key) ?? (unknown.has(key) || !isName(name) ? null : undefined);
    },
    async find(kind, name) {
      if (!isName(name)) return null;
      await listening; // before the first row is read, or its change would be missed
      return (await load(keyOf(kind, name))) ?? null;
    },
    async close() {
      await (
        await listening
      )();
    },
  };
}

/** One letter, so that a device id that is another device's meter_id is not mistaken for it. */
function keyOf(kind: NameKind, name: string): string {
  return (kind === 'meter' ? 'm' : 'd') + name;
}

function byKey(rows: readonly NamedDevice[]): Map<string, NamedDevice> {
  const found = new Map<string, NamedDevice>();
  for (const device of rows) {
    const { device_id, drn } = device.principal;
    found.set(keyOf('device', device_id), device);
    if (drn !== null) found.set(keyOf('meter', drn), device);
  }
  // A meter_id outranks a drn, should somebody have named a meter after another one's number.
  for (const device of rows) found.set(keyOf('meter', device.principal.meter_id), device);
  return found;
}

/** Everything that the registry can name; the rest is not asked for. */
function isName(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,50}$/.test(text);
}

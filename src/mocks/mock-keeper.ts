import { untilCommitted, type Database } from '../database/database.js';
import { generateSecret, hashSecret } from '../devices/credentials.js';
import { metrics } from '../operation/metrics.js';
import type { MockEvent } from './mock-event.js';
import type { Signer } from './mock-readings.js';
import {
  applyEvents,
  endOrphans,
  reconcileSome,
  selectTooLong,
  type MockChange,
} from './mock-changes-store.js';
import { saveStates, selectMocks, setPasswords, type MockRow } from './mock-store.js';
import type { MockWorld } from './mock-world.js';

export interface MockLog {
  debug(line: string): void;
  info(line: string): void;
  warn(line: string): void;
}

export interface MockKeeperOptions {
  readonly database: Database;
  readonly world: MockWorld;
  /** Makes what a meter's readings are signed with; undefined: they are not. */
  readonly signer: (meterId: string) => Promise<Signer> | undefined;
  readonly log: MockLog;
  readonly onChanges: (changes: readonly MockChange[]) => void;
  /** Every wait for the database ends with it. */
  readonly signal: AbortSignal;
}

/** Keeps the mocks of the registry and those of the world one and the same. */
export interface MockKeeper {
  /** Gives every real device its mock, ends those whose real devices are gone, and brings all into the world. */
  reconcile(): Promise<void>;
  /** @returns what was changed in the registry */
  apply(events: readonly MockEvent[]): Promise<readonly MockChange[]>;
  /** What the registers show, for the next start. */
  save(): Promise<void>;
}

/** Rows per statement: some 50 ms of work. */
const perStatement = 1_000;
/** Keys are made one by one, each in a transaction of its own. */
const keysAtOnce = 4;

export function createMockKeeper(options: MockKeeperOptions): MockKeeper {
  const { database, world, log, signal } = options;
  /** Names of mocks that belong to somebody else: told once. */
  const told = new Set<string>();

  const committed = <T>(work: () => Promise<T>): Promise<T> => untilCommitted(database, work, { signal });

  async function reconcile(): Promise<void> {
    let after: string | null = '';
    while (after !== null) {
      const from: string = after;
      const { changes, last } = await committed(() => reconcileSome(database, from, perStatement));
      await follow(changes);
      after = last;
    }
    await follow(await committed(() => endOrphans(database)));
    for (const id of await committed(() => selectTooLong(database)))
      warnOnce(id, `Real device ${id} has no mock: its id leaves no room for mock-real- before it`);
    await admitAll();
  }

  /** Also those that were there before. */
  async function admitAll(): Promise<void> {
    const rows = await committed(() => selectMocks(database, null));
    const missing = rows.filter(({ id }) => !world.has(id));
    for (let from = 0; from < missing.length; from += perStatement)
      await admit(missing.slice(from, from + perStatement));
  }

  /** The world does what the registry says. */
  async function follow(changes: readonly MockChange[]): Promise<void> {
    for (const { effect, id, real_id } of changes) {
      // One that was made anew has another password than the one before it.
      if (effect === 'deleted' || effect === 'created') world.remove(id);
      if (effect === 'refused') warnOnce(id, `Real device ${real_id} has no mock: ${id} is somebody else`);
    }
    const alive = changes.filter(({ effect }) => effect === 'created' || effect === 'updated');
    for (let from = 0; from < alive.length; from += perStatement) {
      const ids = alive.slice(from, from + perStatement).map(({ id }) => id);
      await admit(await committed(() => selectMocks(database, ids)));
    }
    for (const change of changes) tell(change);
    const done = changes.filter(({ effect }) => effect !== 'refused');
    if (done.length > 0) options.onChanges(done);
  }

  async function admit(rows: readonly MockRow[]): Promise<void> {
    const signers = await signersOf(rows);
    const fresh = rows.filter(({ id }) => !world.has(id));
    const passwords = new Map(fresh.map(({ id }) => [id, generateSecret()]));
    if (fresh.length > 0) {
      const hashes = [...passwords.values()].map(hashSecret);
      await committed(() => setPasswords(database, [...passwords.keys()], hashes));
    }
    if (signal.aborted) return;
    for (const row of rows) {
      const password = passwords.get(row.id);
      if (password === undefined) world.change(row, signers.get(row.id));
      else world.admit(row, password, signers.get(row.id));
    }
  }

  /** A meter that became one needs a key, too; one that has a signer keeps it. */
  async function signersOf(rows: readonly MockRow[]): Promise<Map<string, Signer>> {
    const signers = new Map<string, Signer>();
    const meters = rows.filter(({ id, type }) => type === 'meter' && !world.signs(id));
    for (let from = 0; from < meters.length; from += keysAtOnce) {
      const some = meters.slice(from, from + keysAtOnce);
      await Promise.all(
        some.map(async ({ id }) => {
          const signer = await committed(async () => options.signer(id));
          if (signer !== undefined) signers.set(id, signer);
        }),
      );
    }
    return signers;
  }

  function tell({ effect, id, real_id }: MockChange): void {
    metrics.mockEvents.inc({ outcome: effect });
    if (effect === 'created') log.info(`Created mock device ${id} for real device: ${real_id}`);
    if (effect === 'updated') log.debug(`Updated mock device ${id} for real device: ${real_id}`);
    if (effect === 'deleted') log.info(`Deleted mock device ${id} of real device: ${real_id}`);
  }

  function warnOnce(id: string, line: string): void {
    if (told.has(id)) return;
    told.add(id);
    log.warn(line);
  }

  return {
    reconcile,
    async apply(events) {
      const changes = await committed(() => applyEvents(database, events));
      metrics.mockEvents.inc({ outcome: 'unchanged' }, events.length - changes.length);
      await follow(changes);
      return changes;
    },
    async save() {
      const states = world.states();
      for (let from = 0; from < states.length; from += perStatement)
        await saveStates(database, states.slice(from, from + perStatement));
    },
  };
}

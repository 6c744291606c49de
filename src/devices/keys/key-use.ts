import type { Database } from '../../database/database.js';
import { metrics } from '../../operation/metrics.js';
import type { KeyLifetime } from './key.js';
import { countDueKeys, updateLastUsed } from './key-store.js';

/** When keys were last used, written now and then for many at once: never a write per message. */
export interface KeyUse {
  /** `at` in Unix ms. */
  note(keyId: string, at: number): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

const rowsMax = 5_000;

/** Uses that cannot be written because the database is away wait; they are bounded by the number of keys in use. */
export function createKeyUse(database: Database, lifetime: KeyLifetime, everyMs = 30_000): KeyUse {
  const uses = new Map<string, number>();
  let writing: Promise<void> | undefined;

  async function write(): Promise<void> {
    if (database.state === 'down') return;
    try {
      while (uses.size > 0) {
        const some = [...uses].slice(0, rowsMax);
        await updateLastUsed(
          database,
          some.map(([id]) => id),
          some.map(([, at]) => at),
        );
        // A key that was used again meanwhile keeps its newer time for the next write.
        for (const [id, at] of some) if (uses.get(id) === at) uses.delete(id);
        if (some.length < rowsMax) break;
      }
      metrics.keysDue.set(await countDueKeys(database, lifetime.rotationDays));
    } catch {
      // The next turn tries again; nothing depends on this column but people's overview.
    }
  }

  const timer = setInterval(() => {
    writing ??= write().finally(() => (writing = undefined));
  }, everyMs);
  timer.unref();

  return {
    note: (keyId, at) => void uses.set(keyId, at),
    async close() {
      clearInterval(timer);
      await writing;
      await write();
    },
  };
}

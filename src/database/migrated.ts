import type { Database } from './database.js';
import { migrate } from './migrate.js';
import { untilCommitted } from './until-committed.js';

/** A query that comes before the tables waits this long for a server that is away, then says so. */
const patienceMs = 3_000;

/**
 * The same database, with its tables made or brought up to date before the first query. Waits as long as the server is
 * away; when the migration itself fails (no right to create tables, a newer schema), every query fails with its error.
 */
export function migrated(database: Database): Database {
  const closing = new AbortController();
  const done = untilCommitted(database, () => migrate(database), { signal: closing.signal });
  // Each query reports it.
  done.catch(() => {});
  let made = false;
  void done.then(() => (made = true)).catch(() => {});

  async function tables(): Promise<void> {
    if (made) return;
    await database.ready(patienceMs);
    await done;
  }

  return {
    url: database.url,
    get state() {
      return database.state;
    },
    get reason() {
      return database.reason;
    },
    onState: (listener) => database.onState(listener),
    listen: (channel, listener) => database.listen(channel, listener),
    async query(statement) {
      await tables();
      return database.query(statement);
    },
    async transaction(work, how) {
      await tables();
      return database.transaction(work, how);
    },
    async ready(timeoutMs) {
      await database.ready(timeoutMs);
      await done;
    },
    async close() {
      closing.abort();
      await database.close();
    },
  };
}

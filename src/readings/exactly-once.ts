import { untilCommitted, type Database, type Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import type { CommitOptions } from './lane.js';

/**
 * Commits inserts that have no key of their own to be recognised by. When the connection breaks during the commit,
 * nobody here knows whether it happened; the next attempt first asks the server what became of that transaction.
 * `insert` returns the transaction's id (pg_current_xact_id).
 */
export async function commitExactlyOnce(
  database: Database,
  insert: (tx: Session) => Promise<string>,
  wait: CommitOptions,
): Promise<void> {
  let attempted: string | null = null;
  const attempt = async (): Promise<void> => {
    if (attempted !== null && (await isCommitted(database, attempted))) return;
    attempted = null;
    await database.transaction(async (tx) => {
      attempted = await insert(tx);
    });
  };
  await untilCommitted(database, attempt, wait);
}

async function isCommitted(database: Database, id: string): Promise<boolean> {
  const { rows } = await database.query<{ status: string | null }>({
    name: 'transaction-status',
    text: 'select pg_xact_status($1::xid8) as status',
    values: [id],
  });
  const status = rows[0]?.status;
  if (status === 'in progress') {
    // Its server process has not noticed yet that we are gone, and may still find our commit in its socket.
    throw new DomainError('DATABASE_UNAVAILABLE', 'The database is still busy with the last attempt.');
  }
  return status === 'committed';
}

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '../errors.js';
import type { Database, Session } from './database.js';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** Any number; every instance must use the same. */
const migrationLock = 7_306_135_201;
const migrationTimeoutMs = 600_000;

/**
 * Brings the schema up to date: each numbered file once, in its own transaction, one instance at a time.
 * @returns the names of the files that were applied now
 * @throws DomainError CONFIGURATION when an applied file was changed, or the database is newer than this program
 */
export async function migrate(database: Database, migrations?: readonly Migration[]): Promise<string[]> {
  const wanted = migrations ?? (await readMigrations(join(__dirname, 'migrations')));
  await database.transaction(async (tx) => {
    await lock(tx);
    await tx.query({
      text: `create table if not exists schema_migrations (
        version integer primary key,
        name text not null,
        sha256 text not null,
        applied_at timestamptz not null default now()
      )`,
    });
  });
  const applied: string[] = [];
  for (const migration of wanted) if (await apply(database, migration, wanted)) applied.push(migration.name);
  return applied;
}

/** Files named `0001_what_it_does.sql`, in order. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => ({
      version: Number(name.slice(0, 4)),
      name: name.replace(/\.sql$/, ''),
      sql: await readFile(join(folder, name), 'utf8'),
    })),
  );
}

async function apply(
  database: Database,
  migration: Migration,
  wanted: readonly Migration[],
): Promise<boolean> {
  return database.transaction(async (tx) => {
    await lock(tx);
    const { rows } = await tx.query<{ version: number; name: string; sha256: string }>({
      text: 'select version, name, sha256 from schema_migrations order by version',
    });
    refuseUnknown(rows, wanted);
    const known = rows.find(({ version }) => version === migration.version);
    const sha256 = createHash('sha256').update(migration.sql).digest('hex');
    if (known !== undefined) {
      if (known.sha256 === sha256) return false;
      throw new DomainError(
        'CONFIGURATION',
        `Migration ${migration.name} was changed after it had been applied. Restore the file, and write the change as a new migration.`,
      );
    }
    await tx.query({ text: migration.sql, timeoutMs: migrationTimeoutMs });
    await tx.query({
      text: 'insert into schema_migrations (version, name, sha256) values ($1, $2, $3)',
      values: [migration.version, migration.name, sha256],
    });
    return true;
  });
}

/** Transaction-scoped, so that a killed instance leaves nothing locked. Others may build an index meanwhile. */
async function lock(tx: Session): Promise<void> {
  await tx.query({ text: 'set local statement_timeout = 0' });
  await tx.query({ text: `select pg_advisory_xact_lock(${migrationLock})`, timeoutMs: migrationTimeoutMs });
}

function refuseUnknown(
  rows: readonly { version: number; name: string }[],
  wanted: readonly Migration[],
): void {
  const unknown = rows.find(({ version }) => !wanted.some((migration) => migration.version === version));
  if (unknown === undefined) return;
  throw new DomainError(
    'CONFIGURATION',
    `The database has migration ${unknown.name}, which this version does not know. Start the newer version again.`,
  );
}

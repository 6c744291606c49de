import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDatabase, type Database } from '../../src/database/database.js';
import { createAdmin, createTestDatabase, urlOf } from '../support/database.js';

const catalog = {
  columns: `select table_name, column_name, data_type, is_nullable, column_default, numeric_precision, numeric_scale
            from information_schema.columns where table_schema = 'public'`,
  constraints: `select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
                where connamespace = 'public'::regnamespace`,
  indexes: `select indexdef from pg_indexes where schemaname = 'public'`,
  triggers: `select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal`,
  functions: `select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace`,
  sequences: `select sequencename, data_type::text, cache_size::text from pg_sequences where schemaname = 'public'`,
  views: `select viewname, definition from pg_views where schemaname = 'public'`,
  partitioning: `select partrelid::regclass::text, pg_get_partkeydef(partrelid) from pg_partitioned_table`,
} as const;

describe('schema.sql', () => {
  it('is what the migrations build', async () => {
    const migrated = await createTestDatabase();
    const admin = createAdmin();
    await admin.query({ text: 'create database schema_as_written' });
    const written = openDatabase({ url: urlOf('schema_as_written'), connectionsMax: 1 });
    try {
      const sql = await readFile(join(__dirname, '../../src/database/schema.sql'), 'utf8');
      await written.query({ text: sql });
      for (const [part, query] of Object.entries(catalog))
        assert.deepEqual(await rowsOf(written, query), await rowsOf(migrated.database, query), part);
    } finally {
      await written.close();
      await admin.query({ text: 'drop database schema_as_written with (force)' });
      await admin.close();
      await migrated.drop();
    }
  });
});

/** Without what the migrations keep of themselves; in an order of our own. */
async function rowsOf(database: Database, text: string): Promise<string[]> {
  const { rows } = await database.query<object>({ text });
  return rows
    .map((row) => JSON.stringify(row))
    .filter((row) => !row.includes('schema_migrations'))
    .sort();
}

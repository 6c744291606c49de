import { randomBytes } from 'node:crypto';
import { openDatabase, type Database, type DatabaseOptions } from '../../src/database/database.js';

export const templateName = 'meterflow_template';

export interface TestDatabase {
  readonly url: string;
  readonly database: Database;
  /** Closes `database` and drops it, with whatever is still connected. */
  drop(): Promise<void>;
}

/** A migrated database of its own: the clone of a template, made in some 20 ms. */
export async function createTestDatabase(options: Partial<DatabaseOptions> = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asAdmin(`create database ${name} template ${templateName} strategy file_copy`);
  const url = urlOf(name);
  const database = openDatabase({ url, ...options });
  await database.ready(10_000);
  return {
    url,
    database,
    async drop() {
      await database.close();
      await asAdmin(`drop database ${name} with (force)`);
    },
  };
}

/** The address of another database of the run's server. */
export function urlOf(name: string): string {
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  return url.href;
}

function serverUrl(): string {
  const url = process.env['TEST_PG_URL'];
  if (url === undefined)
    throw new Error('TEST_PG_URL is not set: run mocha with --require test/support/global-setup.ts');
  return url;
}

/** For what is done to a database from outside. Close it. */
export function createAdmin(): Database {
  return openDatabase({ url: serverUrl(), connectionsMax: 1 });
}

async function asAdmin(text: string): Promise<void> {
  const admin = createAdmin();
  try {
    await admin.query({ text, timeoutMs: 30_000 });
  } finally {
    await admin.close();
  }
}

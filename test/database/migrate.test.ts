import assert from 'node:assert/strict';
import { openDatabase, type Database } from '../../src/database/database.js';
import { migrate, type Migration } from '../../src/database/migrate.js';
import { migrated } from '../../src/database/migrated.js';
import { createAdmin, createTestDatabase, urlOf } from '../support/database.js';

const one: Migration = {
  version: 1,
  name: '0001_one',
  sql: 'create table one (a int); insert into one values (1)',
};
const two: Migration = { version: 2, name: '0002_two', sql: 'create table two (a int)' };

describe('migrate', () => {
  let database: Database;
  beforeEach(async () => {
    const admin = createAdmin();
    await admin.query({ text: 'drop database if exists migrating with (force)' });
    await admin.query({ text: 'create database migrating' });
    await admin.close();
    database = openDatabase({ url: urlOf('migrating') });
  });
  afterEach(() => database.close());

  it('has nothing to do on a database that is up to date', async () => {
    const test = await createTestDatabase();
    assert.deepEqual(await migrate(test.database), []);
    await test.drop();
  });

  it('applies each file once, also when several instances start at the same time', async () => {
    const applied = await Promise.all([1, 2, 3].map(() => migrate(database, [one, two])));
    assert.deepEqual(applied.flat().sort(), ['0001_one', '0002_two']);
    assert.equal((await database.query({ text: 'select a from one' })).rowCount, 1);
  });

  it('leaves nothing of a file that fails, and keeps those before it', async () => {
    const broken = { ...two, sql: 'create table two (a int); select 1 / 0' };
    await assert.rejects(migrate(database, [one, broken]), { code: '22012' });
    assert.deepEqual(await migrate(database, [one, two]), ['0002_two']);
  });

  it('stops at an applied file that was changed', async () => {
    await migrate(database, [one]);
    await assert.rejects(migrate(database, [{ ...one, sql: 'select 1' }]), {
      code: 'CONFIGURATION',
      message: /0001_one/,
    });
  });

  it('refuses a database of a newer version', async () => {
    await migrate(database, [one, two]);
    await assert.rejects(migrate(database, [one]), { code: 'CONFIGURATION', message: /0002_two/ });
  });

  it('makes the tables of an empty database before the first query', async () => {
    const ready = migrated(database);
    assert.equal((await ready.query({ text: 'select id from devices' })).rowCount, 0);
  });

  it('answers every query with the failure of its migration', async () => {
    await database.query({ text: 'create table devices (a int)' });
    const ready = migrated(database);
    await assert.rejects(ready.query({ text: 'select 1' }), { code: '42P07' });
    await assert.rejects(ready.ready(5_000), { code: '42P07' });
  });

  it('does not make a query wait for a server that is away', async () => {
    const away = openDatabase({ url: 'postgres://127.0.0.1:1/nothing' });
    const ready = migrated(away);
    await assert.rejects(ready.query({ text: 'select 1' }), { code: 'DATABASE_UNAVAILABLE' });
    await ready.close();
  });
});

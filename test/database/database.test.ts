import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isTransient, openDatabase, untilCommitted } from '../../src/database/database.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/database/embedded-server.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';

const away = { code: 'DATABASE_UNAVAILABLE' };

describe('database', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase({ queryTimeoutMs: 2_000 });
    await test.database.query({ text: 'create table things (name text constraint things_name_key unique)' });
  });
  after(() => test.drop());
  const count = async (): Promise<number> =>
    (await test.database.query({ text: 'select from things' })).rowCount;

  it('commits what a transaction did, and nothing of one that throws', async () => {
    await test.database.transaction((tx) => tx.query({ text: `insert into things values ('kept')` }));
    const broken = test.database.transaction(async (tx) => {
      await tx.query({ text: `insert into things values ('lost')` });
      throw new Error('changed my mind');
    });
    await assert.rejects(broken, /changed my mind/);
    assert.equal(await count(), 1);
  });

  it('throws the server’s own error when the statement is at fault', async () => {
    const twice = { text: `insert into things values ('twice'), ('twice')` };
    await assert.rejects(test.database.query(twice), { code: '23505', constraint: 'things_name_key' });
    assert.equal(test.database.state, 'up');
  });

  it('gives up a statement after its deadline, and is up again at once', async () => {
    await assert.rejects(test.database.query({ text: 'select pg_sleep(60)', timeoutMs: 100 }), away);
    await eventually(() => test.database.state === 'up');
    assert.equal((await test.database.query({ text: 'select 1' })).rowCount, 1);
  });

  it('hears notifications, and says when some may have been missed', async () => {
    const heard: string[] = [];
    let resets = 0;
    const stop = await test.database.listen('news', {
      handler: (payload) => heard.push(payload),
      reset: () => resets++,
    });
    await test.database.query({ text: `select pg_notify('news', 'first')` });
    await eventually(() => heard.includes('first'));
    await test.database.query({
      text: `select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()`,
    });
    await eventually(() => resets === 1);
    await test.database.query({ text: `select pg_notify('news', 'second')` });
    await eventually(() => heard.includes('second'));
    await stop();
  });

  it('tells within the deadline that nobody listens on the port, and why', async () => {
    const database = openDatabase({ url: `postgres://nobody:secret@127.0.0.1:${await freePort()}/none` });
    await assert.rejects(database.ready(200), (error: Error) => {
      assert.equal((error as unknown as { code: string }).code, 'DATABASE_UNAVAILABLE');
      assert.match(error.message, /ECONNREFUSED/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
    await assert.rejects(database.query({ text: 'select 1' }), away);
    await database.close();
  });

  it('holds work through collisions until it is committed [M-13]', async () => {
    let attempts = 0;
    const held: string[] = [];
    const work = (): Promise<number> => {
      attempts++;
      return attempts < 3
        ? Promise.reject(Object.assign(new Error('deadlock'), { code: '40P01' }))
        : Promise.resolve(attempts);
    };
    const signal = new AbortController().signal;
    assert.equal(
      await untilCommitted(test.database, work, { signal, onHold: (reason) => held.push(reason) }),
      3,
    );
    assert.deepEqual(held, ['deadlock', 'deadlock']);
    await assert.rejects(
      untilCommitted(test.database, () => Promise.reject(new Error('its own fault')), { signal }),
      /own fault/,
    );
  });
});

describe('database whose server goes away', function () {
  this.timeout(60_000);
  let dataDir: string;
  let server: EmbeddedServer;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'meterflow-away-'));
    server = await startEmbeddedServer({ dataDir, log: () => {} });
  });
  after(async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  it('is not hung by a stopped server, and closes at once', async () => {
    const database = openDatabase({ url: server.url, queryTimeoutMs: 500 });
    await database.ready(5_000);
    await database.query({ text: 'select 1' });
    const [{ pid } = { pid: 0 }] = (
      await database.query<{ pid: number }>({ text: 'select pg_backend_pid() as pid' })
    ).rows;
    process.kill(pid, 'SIGSTOP');
    process.kill(server.pid, 'SIGSTOP');
    try {
      await assert.rejects(database.query({ text: 'select 1' }), away);
      await eventually(() => database.state === 'down');
      await assert.rejects(database.query({ text: 'select 1' }), away);
    } finally {
      process.kill(server.pid, 'SIGCONT');
      process.kill(pid, 'SIGCONT');
    }
    await eventually(() => database.state === 'up');
    await database.query({ text: 'select 1' });
    process.kill(server.pid, 'SIGSTOP');
    const begun = Date.now();
    await database.close();
    process.kill(server.pid, 'SIGCONT');
    assert.ok(Date.now() - begun < 5_000);
  });

  it('serves again by itself after the server was killed, and what was held is committed [M-13]', async () => {
    const database = openDatabase({ url: server.url });
    await database.ready(5_000);
    await database.query({ text: 'create table held (n int primary key)' });
    const reasons: string[] = [];
    process.kill(server.pid, 'SIGKILL');
    await eventually(() => database.state === 'down');
    const signal = new AbortController().signal;
    const insert = { text: 'insert into held values (1) on conflict do nothing' };
    await untilCommitted(database, () => database.query(insert), {
      signal,
      onHold: (reason) => reasons.push(reason),
    });
    assert.equal((await database.query({ text: 'select from held' })).rowCount, 1);
    assert.ok(reasons.every((reason) => reason.startsWith('The database is away')));
    await database.close();
  });

  it('ends a hold when it is told to, with the last failure', async () => {
    const database = openDatabase({ url: `postgres://nobody@127.0.0.1:${await freePort()}/none` });
    const stop = new AbortController();
    const hold = untilCommitted(database, () => database.query({ text: 'select 1' }), {
      signal: stop.signal,
      onHold: () => stop.abort(),
    });
    await assert.rejects(hold, (error) => isTransient(error));
    await database.close();
  });
});

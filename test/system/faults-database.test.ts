import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { chown, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { openDatabase, type Database } from '../../src/database/database.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/database/embedded-server.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';
import { insertMeters, Workload } from '../support/workload.js';

const meters = 20;
const messagesEach = 100;
const loadMs = 3_000;

/** [M-13], [M-14]: whatever happens to the database, the books of what was acknowledged are right, to the message. */
describe('readings while the database is in trouble', function () {
  this.timeout(60_000);
  let folder: string;
  let server: EmbeddedServer;
  let proxy: FaultProxy;
  let appliance: Appliance;
  /** Past the proxy. */
  let database: Database;
  let load: Workload;
  let round = 0;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'meterflow-faults-'));
    const settings = { fsync: 'off', max_connections: '40', superuser_reserved_connections: '0' };
    server = await startEmbeddedServer({ dataDir: folder, log: () => {}, settings });
    const { port } = new URL(server.url);
    proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(port) });
    appliance = await startAppliance({
      env: { DATABASE_URL: through(proxy, server.url), VIRTUAL_METERS: '0' },
    });
    database = openDatabase({ url: server.url, connectionsMax: 2 });
  });

  after(async () => {
    await appliance?.stop();
    await database?.close();
    await proxy?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    round += 1;
    const names = await insertMeters(database, `FAULT${round}`, meters);
    load = new Workload(database, appliance.mqttPort, names);
  });

  afterEach(() => {
    proxy.pass();
    load.end();
  });

  /** Returns when the load is well under way; half of it is still to come, however long that took. */
  async function underLoad(): Promise<void> {
    load.send(messagesEach / 2, loadMs / 2);
    await eventually(() => assert.ok(load.acknowledged > meters * 10));
    load.send(messagesEach / 2, loadMs / 2);
  }

  async function booksAreRight(): Promise<void> {
    const account = await load.settled();
    assert.deepEqual(account, {
      acknowledged: meters * messagesEach,
      stored: (meters * messagesEach * 8) / 10,
      quarantined: (meters * messagesEach) / 10,
      kept: (meters * messagesEach) / 10,
    });
  }

  const outages: { title: string; fault: () => Promise<void> }[] = [
    {
      title: 'the network to it is cut',
      async fault() {
        proxy.cut();
        await delay(2_000);
      },
    },
    {
      title: 'the network swallows everything, longer than a query may take',
      async fault() {
        proxy.blackHole();
        await delay(12_000);
      },
    },
    {
      title: 'answers get lost and requests arrive',
      async fault() {
        proxy.swallowAnswers();
        await delay(1_000);
        proxy.cut();
        await delay(500);
      },
    },
    {
      title: 'every packet takes 150 ms',
      async fault() {
        proxy.slow(150);
        await delay(2_000);
      },
    },
    {
      title: 'the answer to five commits breaks off in the middle',
      async fault() {
        const before = proxy.resets;
        proxy.resetAnswerTo('commit', 5);
        await eventually(() => assert.equal(proxy.resets, before + 5));
      },
    },
    {
      title: 'it is restarted',
      async fault() {
        // Fast shutdown; the embedded server starts it again.
        process.kill(server.pid, 'SIGINT');
        await eventually(() => assert.equal(database.state, 'down'));
        await eventually(() => assert.equal(database.state, 'up'));
      },
    },
    {
      title: 'others took all of its connections',
      async fault() {
        const others = await takeAllConnections(database, server.url);
        await delay(2_000);
        await Promise.all(others.map((other) => other.end()));
      },
    },
    {
      title: 'every connection of the pool waits for a lock',
      async fault() {
        await database.transaction(async (tx) => {
          await tx.query({ text: 'lock table meter_readings, quarantined_messages, device_messages' });
          await delay(2_000);
        });
      },
    },
  ];

  for (const { title, fault } of outages) {
    it(`are all accounted for when ${title}`, async () => {
      await underLoad();
      await fault();
      // Past the proxy: what is acknowledged by now is there by now, and not only in the memory of a process ([M-13]).
      await load.audit();
      proxy.pass();
      await booksAreRight();
      assert.equal(load.reconnectsMax, 0, 'held, not failed');
    });
  }

  it('are all accounted for when its disk is full, and nobody is thrown out meanwhile', async () => {
    const disk = await makeSmallDisk(database, folder);
    try {
      await underLoad();
      await disk.fill();
      // What still fits on half empty pages is stored; then the node, /readyz and this metric say what is the matter.
      await eventually(async () => (await metric(appliance, 'meterflow_database_up')) === 0);
      const before = load.acknowledged;
      await delay(2_000);
      assert.ok(load.acknowledged < load.total, 'something waits');
      assert.ok(load.acknowledged - before < meters * 10, 'next to nothing is acknowledged without room');
      await load.audit();
      await disk.empty();
      await booksAreRight();
      assert.equal(load.reconnectsMax, 0, 'held, not failed');
    } finally {
      await disk.remove();
    }
  });
});

/** Until the server says `too many clients`; the appliance's own connections are ended, and cannot come back. */
async function takeAllConnections(database: Database, url: string): Promise<Client[]> {
  const taken: Client[] = [];
  await database.query({ text: 'select 1' });
  for (;;) {
    await database.query({
      text: `select pg_terminate_backend(pid) from pg_stat_activity
              where application_name like 'meterflow%' and pid <> pg_backend_pid() and datname is not null
                and client_port is not null and application_name <> 'taker'`,
    });
    const client = new Client({ connectionString: url, application_name: 'taker' });
    client.on('error', () => {});
    try {
      await client.connect();
      taken.push(client);
    } catch (error) {
      assert.equal((error as { code?: string }).code, '53300');
      return taken;
    }
  }
}

interface SmallDisk {
  fill(): Promise<void> | void;
  empty(): Promise<void> | void;
  remove(): Promise<void>;
}

/**
 * Moves the tables that ingestion writes to a disk of 24 MB: a tmpfs when this runs as root, so that PostgreSQL meets
 * the real ENOSPC; else a trigger answers with the same error, SQLSTATE 53100.
 */
async function makeSmallDisk(database: Database, folder: string): Promise<SmallDisk> {
  const tables = await ingestionTables(database);
  if (process.getuid?.() !== 0) return withoutRoot(database, tables);
  const mount = join(folder, 'small-disk');
  execFileSync('mkdir', ['-p', mount]);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', mount]);
  const owner = statSync(join(folder, 'postgresql'));
  const data = (
    await database.query<{ dir: string }>({ text: `select current_setting('data_directory') as dir` })
  ).rows[0]?.dir;
  const { uid, gid } = data === undefined ? owner : statSync(data);
  await chown(mount, uid, gid);
  // Not through a transaction: a tablespace is made outside of one.
  await database.query({ text: `create tablespace small location '${mount}'` });
  for (const table of tables) await database.query({ text: `alter table ${table} set tablespace small` });
  const ballast = join(mount, 'ballast');
  return {
    fill() {
      const file = openSync(ballast, 'w');
      const block = Buffer.alloc(4096);
      try {
        for (;;) writeSync(file, block);
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      } finally {
        closeSync(file);
      }
    },
    empty: () => rmSync(ballast),
    async remove() {
      rmSync(ballast, { force: true });
      for (const table of tables) {
        await database.query({ text: `alter table ${table} set tablespace pg_default`, timeoutMs: 20_000 });
      }
      await database.query({ text: 'drop tablespace small' });
      execFileSync('umount', ['-l', mount]);
    },
  };
}

async function withoutRoot(database: Database, tables: readonly string[]): Promise<SmallDisk> {
  await database.query({
    text: `create table disk (is_full boolean);
           insert into disk values (false);
           create function refuse_when_full() returns trigger language plpgsql as $$
           begin
             if (select is_full from disk) then
               raise exception 'could not extend file: No space left on device' using errcode = '53100';
             end if;
             return new;
           end $$`,
  });
  for (const table of tables) {
    await database.query({
      text: `create trigger full_disk before insert on ${table} for each row execute function refuse_when_full()`,
    });
  }
  const set = async (isFull: boolean): Promise<void> => {
    await database.query({ text: `update disk set is_full = ${isFull}` });
  };
  return {
    fill: () => set(true),
    empty: () => set(false),
    async remove() {
      await database.query({ text: 'drop function refuse_when_full() cascade; drop table disk' });
    },
  };
}

async function ingestionTables(database: Database): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>({
    text: `select relname as name from pg_class
            where relkind = 'r' and (relname like 'meter_readings_%' or relname like 'device_messages_%'
              or relname = 'quarantined_messages')`,
  });
  return rows.map(({ name }) => name);
}

async function metric(appliance: Appliance, name: string): Promise<number> {
  const answer = await fetch(`${appliance.url}/metrics`);
  const line = (await answer.text()).split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Client } from 'pg';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { createEventLog, type EventLog, type LoggedEvent } from '../../src/events/event-log.js';
import { forgetOldEvents } from '../../src/events/log-store.js';
import { isDomainError } from '../../src/errors.js';
import { migrate, readMigrations } from '../../src/database/migrate.js';
import { openDatabase } from '../../src/database/database.js';
import { createAdmin, createTestDatabase, urlOf, type TestDatabase } from '../support/database.js';

const caller = { name: 'demo', address: '127.0.0.1' };
/** Of a device that is not made by the API. */
const insert = `insert into devices (id, meter_id, type, mqtt_user, password_hash, mock)`;

describe('The log of device events', () => {
  let test: TestDatabase;
  let registry: Registry;
  let log: EventLog;
  beforeEach(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    log = createEventLog(test.database);
  });
  afterEach(() => test.drop());

  const sql = (text: string) => test.database.query({ text });
  const all = async (): Promise<LoggedEvent[]> => (await log.read({ limit: 1000 })).data;
  const kinds = async () => (await all()).map(({ event_type, device_id }) => `${event_type} ${device_id}`);

  it('has an event for each change, with the device as it was then [M-8]', async () => {
    const input = {
      type: 'hvac',
      name: 'HVAC Unit 1',
      location: 'Building A - Floor 2',
      meter_id: 'HVAC-1',
      base_power: 25.5,
    };
    const { device } = await registry.create(input, caller);
    const changed = await registry.update(device.id, { name: null, base_voltage: 230 }, caller);
    await registry.remove(device.id, caller);
    const [created, updated, deleted] = await all();
    const { id, created_at } = device;
    const asCreated = {
      id,
      name: 'HVAC Unit 1',
      type: 'hvac',
      location: 'Building A - Floor 2',
      status: 'offline',
      base_power: 25.5,
      base_voltage: null,
      meter_id: 'HVAC-1',
      drn: null,
      created_at,
      updated_at: device.updated_at,
    };
    const asUpdated = { ...asCreated, name: null, base_voltage: 230, updated_at: changed.updated_at };
    const metadata = { source: 'data-ingestion-service' };
    const event = (event_type: string, logged: LoggedEvent | undefined, device_data: object) => ({
      id: logged?.id,
      event_type,
      device_id: id,
      timestamp: logged?.timestamp,
      device_data,
      metadata,
    });
    assert.deepEqual(created, event('device.created', created, asCreated));
    assert.deepEqual(updated, event('device.updated', updated, asUpdated));
    assert.deepEqual(deleted, event('device.deleted', deleted, asUpdated), 'the last that was known');
    for (const one of [created, updated, deleted])
      assert.match(one?.timestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.ok(Math.abs(Date.parse(created?.timestamp ?? '') - Date.now()) < 10_000);
  });

  it('has the changes that are made in SQL, also of many devices in one statement', async () => {
    await sql(
      `${insert} select 'D' || n, 'D' || n, 'sensor', 'D' || n, '\\x00', false from generate_series(1, 3) n`,
    );
    await sql(`update devices set location = 'Roof' where id in ('D1', 'D3')`);
    await sql(`${insert} values ('D1', 'D1', 'sensor', 'D1', '\\x00', false)
               on conflict (id) do update set type = 'meter'`);
    await sql(`delete from devices where id <> 'D1'`);
    await sql('truncate devices cascade');
    assert.deepEqual(await kinds(), [
      ...['D1', 'D2', 'D3'].map((id) => `device.created ${id}`),
      'device.updated D1',
      'device.updated D3',
      'device.updated D1',
      'device.deleted D2',
      'device.deleted D3',
      'device.deleted D1',
    ]);
    assert.equal((await all()).at(-1)?.device_data.type, 'meter');
  });

  it('tells of a device that gets another id as of one that goes and one that comes', async () => {
    await sql(`${insert} values ('OLD', 'M1', 'sensor', 'M1', '\\x00', false)`);
    await sql(`update devices set id = 'NEW'`);
    assert.deepEqual(await kinds(), ['device.created OLD', 'device.created NEW', 'device.deleted OLD']);
  });

  const silent: readonly [what: string, change: string][] = [
    ['its last sign of life', `last_seen_at = now(), connected_instance = 'one'`],
    ['its password', `password_hash = '\\x01', previous_password_until = now()`],
    ['its revocation', 'revoked_at = now()'],
    ['the same values again', `type = 'sensor', location = null, base_power = 25.00`],
  ];
  for (const [what, change] of silent) {
    it(`has no event when nothing but ${what} is written`, async () => {
      await sql(`${insert} values ('D1', 'D1', 'sensor', 'D1', '\\x00', false)`);
      await sql(`update devices set base_power = 25`);
      await sql(`update devices set ${change}`);
      assert.deepEqual(await kinds(), ['device.created D1', 'device.updated D1']);
    });
  }

  for (const change of [
    `status = 'online'`,
    `tariff_plan = 'other'`,
    `drn = '09000030529'`,
    `meter_id = 'X'`,
  ])
    it(`has an event when ${change.split(' ')[0]} changes`, async () => {
      await sql(`${insert} values ('D1', 'D1', 'sensor', 'D1', '\\x00', false)`);
      await sql(`update devices set ${change}`);
      assert.deepEqual(await kinds(), ['device.created D1', 'device.updated D1']);
    });

  it('has no events of mock devices; one that becomes a mock is gone [L-3]', async () => {
    await sql(
      `${insert} values ('M1', 'M1', 'sensor', 'M1', '\\x00', true), ('D1', 'D1', 'sensor', 'D1', '\\x00', false)`,
    );
    await sql(`update devices set location = 'Roof'`);
    await sql(`update devices set mock = not mock`);
    await sql(`delete from devices where mock`);
    assert.deepEqual(await kinds(), [
      'device.created D1',
      'device.updated D1',
      'device.deleted D1',
      'device.created M1',
    ]);
  });

  it('has nothing of a change that was rolled back [L-4]', async () => {
    await assert.rejects(
      test.database.transaction(async (tx) => {
        await tx.query({ text: `${insert} values ('D1', 'D1', 'sensor', 'D1', '\\x00', false)` });
        throw new Error('changed my mind');
      }),
    );
    await registry.create({ type: 'meter', meter_id: 'TAKEN' }, caller);
    await assert.rejects(registry.create({ type: 'meter', meter_id: 'TAKEN' }, caller), isDomainError);
    assert.deepEqual((await kinds()).length, 1);
  });

  it('rises in time for each device, in the order of the changes, also when a clock was set back', async () => {
    await sql(`${insert} values ('D1', 'D1', 'sensor', 'D1', '\\x00', false)`);
    await sql(`update device_events set occurred_at = '2100-01-01T00:00:00.000001Z'`);
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => registry.update('D1', { name: `Name ${index}` }, caller)),
    );
    const events = await all();
    assert.equal(events.length, 51);
    assert.deepEqual(
      events.map(({ timestamp }) => timestamp),
      Array.from({ length: 51 }, (_, index) => `2100-01-01T00:00:00.${String(index + 1).padStart(6, '0')}Z`),
    );
    assert.equal(events.at(-1)?.device_data.name, (await registry.get('D1')).name);
  });

  it('begins, in a database of an earlier version, with the devices that are there', async () => {
    const admin = createAdmin();
    const name = `earlier_${process.pid}`;
    await admin.query({ text: `create database ${name}` });
    const earlier = openDatabase({ url: urlOf(name), connectionsMax: 2 });
    try {
      const migrations = await readMigrations(join(__dirname, '../../src/database/migrations'));
      await migrate(
        earlier,
        migrations.filter(({ version }) => version < 12),
      );
      await earlier.query({
        text: `${insert.replace(')', ', created_at)')} select id, id, 'sensor', id, '\\x00', id = 'MOCK', at::timestamptz
                 from (values ('SECOND', '2026-02-01'), ('MOCK', '2026-01-15'), ('FIRST', '2026-01-01')) as v (id, at)`,
      });
      await migrate(earlier, migrations);
      const { data } = await createEventLog(earlier).read();
      assert.deepEqual(
        data.map(({ event_type, device_id }) => `${event_type} ${device_id}`),
        ['device.created FIRST', 'device.created SECOND'],
      );
      assert.equal(data[0]?.device_data.created_at, '2026-01-01T00:00:00.000Z');
    } finally {
      await earlier.close();
      await admin.query({ text: `drop database ${name} with (force)` });
      await admin.close();
    }
  });

  it('is read page by page, of one device or all', async () => {
    await sql(
      `${insert} select 'D' || n, 'D' || n, 'sensor', 'D' || n, '\\x00', false from generate_series(1, 5) n`,
    );
    const first = await log.read({ limit: '2' });
    const second = await log.read({ limit: 2, after: String(first.next) });
    const third = await log.read({ limit: 2, after: second.next });
    const end = await log.read({ after: third.next });
    assert.deepEqual(
      [first, second, third, end].map(({ data }) => data.map(({ device_id }) => device_id)),
      [['D1', 'D2'], ['D3', 'D4'], ['D5'], []],
    );
    assert.equal(end.next, third.next);
    assert.deepEqual(
      (await log.read({ device_id: 'D4' })).data.map(({ device_id }) => device_id),
      ['D4'],
    );
  });

  for (const query of [{ after: '-1' }, { after: 'x' }, { limit: 0 }, { limit: '1001' }, { after: 1.5 }])
    it(`refuses ${JSON.stringify(query)}`, async () => {
      await assert.rejects(log.read(query), { code: 'SCHEMA_INVALID' });
    });

  it('shows an event only when no earlier one can still come', async () => {
    const slow = new Client({ connectionString: test.url });
    await slow.connect();
    try {
      await slow.query('begin');
      await slow.query(`${insert} values ('SLOW', 'SLOW', 'sensor', 'SLOW', '\\x00', false)`);
      await sql(`${insert} values ('QUICK', 'QUICK', 'sensor', 'QUICK', '\\x00', false)`);
      const meanwhile = await log.read();
      assert.deepEqual(meanwhile, { data: [], next: 0 });
      await slow.query('commit');
      assert.deepEqual(await kinds(), ['device.created SLOW', 'device.created QUICK']);
    } finally {
      await slow.end();
    }
  });

  it('forgets old events that were published, but for the last one of each device that is there', async () => {
    await sql(
      `${insert} values ('KEPT', 'A', 'sensor', 'A', '\\x00', false), ('GONE', 'B', 'sensor', 'B', '\\x00', false)`,
    );
    await sql(`update devices set location = 'Roof'`);
    await sql(`delete from devices where id = 'GONE'`);
    await sql(
      `update device_events set occurred_at = occurred_at - interval '10 days', published_at = now()`,
    );
    await sql(`${insert} values ('OPEN', 'C', 'sensor', 'C', '\\x00', false)`);
    assert.equal(await forgetOldEvents(test.database, 11), false);
    assert.equal((await all()).length, 6);
    assert.equal(await forgetOldEvents(test.database, 9), false);
    assert.deepEqual(await kinds(), ['device.updated KEPT', 'device.created OPEN']);
  });
});

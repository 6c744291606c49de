import assert from 'node:assert/strict';
import { revokeAccount, ensureAccount } from '../../src/devices/accounts.js';
import { createDirectory, type Directory } from '../../src/devices/principals.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { createAdmin, createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const caller = { name: 'test' };

describe('directory of logins', () => {
  let test: TestDatabase;
  let registry: Registry;
  let directory: Directory;
  let number = 0;
  before(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    directory = createDirectory(test.database);
  });
  after(async () => {
    await directory.close();
    await test.drop();
  });

  async function newMeter(): Promise<{ user: string; id: string; password: string }> {
    const { device, mqtt_password } = await registry.create(
      { type: 'meter', meter_id: `M${++number}` },
      caller,
    );
    return { user: device.mqtt_user, id: device.id, password: mqtt_password };
  }

  it('knows a device by its password and refuses any other', async () => {
    const meter = await newMeter();
    assert.deepEqual(await directory.authenticate(meter.user, meter.password), {
      kind: 'device',
      user: meter.user,
      device_id: meter.id,
      meter_id: meter.user,
      drn: null,
      user_id: null,
      mock: false,
    });
    for (const password of ['', 'wrong', `${meter.password} `])
      assert.equal(await directory.authenticate(meter.user, password), 'refused');
    for (const user of ['nobody', '', '#', 'x\u0000', "' or true --"])
      assert.equal(await directory.authenticate(user, meter.password), 'refused');
  });

  it('knows a device by a name in its certificate, meter_id or id, and nothing else', async () => {
    const [meter, other] = [await newMeter(), await newMeter()];
    await registry.update(other.id, { drn: '09000030529' }, caller);
    await ensureAccount(test.database, { name: 'service', may_read: [], may_write: [] }, 'secret', caller);
    for (const names of [[meter.user], [meter.id], ['a.example', meter.user, meter.id, '#']]) {
      const found = await directory.identify(names);
      assert.equal(typeof found === 'string' ? found : found.user, meter.user);
    }
    for (const names of [[], ['nobody'], ['09000030529'], ['service'], [meter.user, other.user]])
      assert.equal(await directory.identify(names), 'refused', names.join());
    await registry.remove(meter.id, caller);
    await eventually(async () => assert.equal(await directory.identify([meter.id]), 'refused'));
  });

  it('knows a service account with its filters until it is revoked', async () => {
    const account = { name: 'reader', may_read: ['devices/+/#'], may_write: [] };
    await ensureAccount(test.database, account, 'secret', caller);
    assert.equal(await ensureAccount(test.database, account, 'secret', caller), false);
    assert.deepEqual(await directory.authenticate('reader', 'secret'), {
      kind: 'account',
      user: 'reader',
      may_read: ['devices/+/#'],
      may_write: [],
    });
    await revokeAccount(test.database, 'reader', caller);
    await eventually(async () => (await directory.authenticate('reader', 'secret')) === 'refused');
  });

  it('forgets what it knew as soon as the row changes, and tells who', async () => {
    const meter = await newMeter();
    const told: (string | null)[] = [];
    const stop = directory.onChanged((user) => told.push(user));
    await directory.authenticate(meter.user, meter.password);
    const { mqtt_password } = await registry.resetPassword(meter.user, caller);
    await eventually(() => told.includes(meter.user));
    assert.equal(await directory.authenticate(meter.user, meter.password), 'refused');
    assert.notEqual(await directory.authenticate(meter.user, mqtt_password), 'refused');
    stop();
  });

  it('admits a device that was asked for before it was registered', async () => {
    const user = `M${++number}`;
    assert.equal(await directory.authenticate(user, 'early'), 'refused');
    const { mqtt_password } = await registry.create({ type: 'meter', meter_id: user }, caller);
    await eventually(async () => (await directory.authenticate(user, mqtt_password)) !== 'refused');
  });

  it('refuses a revoked device', async () => {
    const meter = await newMeter();
    await directory.authenticate(meter.user, meter.password);
    await test.database.query({
      text: 'update devices set revoked_at = now() where id = $1',
      values: [meter.id],
    });
    await eventually(async () => (await directory.authenticate(meter.user, meter.password)) === 'refused');
  });

  it('tells whether a client id is the name of another device [M-12]', async () => {
    const [one, other] = [await newMeter(), await newMeter()];
    assert.equal(await directory.nameTaken(other.user, one.user), true);
    assert.equal(await directory.nameTaken(other.id, one.user), true);
    assert.equal(await directory.nameTaken(one.user, one.user), false);
    assert.equal(await directory.nameTaken(one.id, one.user), false);
    assert.equal(await directory.nameTaken(`${one.user}-tablet`, one.user), false);
    assert.equal(await directory.nameTaken('mqttjs/1', one.user), false);
  });

  it('finds out what changed while its connection was lost, and reports only that', async () => {
    const [steady, changed] = [await newMeter(), await newMeter()];
    for (const meter of [steady, changed]) await directory.authenticate(meter.user, meter.password);
    const told: (string | null)[] = [];
    const stop = directory.onChanged((user) => told.push(user));
    // The trigger stays silent, as if the notification had gone to a connection that was lost.
    await test.database.query({ text: 'alter table devices disable trigger devices_changed' });
    await test.database.query({
      text: 'update devices set revoked_at = now() where id = $1',
      values: [changed.id],
    });
    await test.database.query({ text: 'alter table devices enable trigger devices_changed' });
    await test.database.query({
      text: `select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()`,
    });
    await eventually(() => told.includes(changed.user));
    assert.deepEqual(told, [changed.user]);
    assert.equal(await directory.authenticate(changed.user, changed.password), 'refused');
    stop();
  });

  it('answers a storm of a thousand logins with few queries', async () => {
    const meters = await Promise.all(Array.from({ length: 40 }, newMeter));
    const storm = Array.from({ length: 1_000 }, (_, n) => {
      const { user, password } = meters[n % meters.length] ?? { user: '', password: '' };
      return directory.authenticate(user, password);
    });
    for (const principal of await Promise.all(storm)) assert.equal(typeof principal, 'object');
  });
});

describe('directory of logins without a database', () => {
  it('answers unavailable, also for a login it knew, and goes on when the database is back', async () => {
    const test = await createTestDatabase();
    const directory = createDirectory(test.database, { deadlineMs: 1_000 });
    const registry = createRegistry(test.database);
    const { device, mqtt_password } = await registry.create({ type: 'meter' }, caller);
    assert.equal(typeof (await directory.authenticate(device.mqtt_user, mqtt_password)), 'object');
    const name = new URL(test.url).pathname.slice(1);
    const admin = createAdmin();
    await admin.query({ text: `alter database ${name} with allow_connections false` });
    await admin.query({
      text: `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
    });
    await eventually(
      async () => (await directory.authenticate(device.mqtt_user, mqtt_password)) === 'unavailable',
    );
    await admin.query({ text: `alter database ${name} with allow_connections true` });
    await eventually(
      async () => typeof (await directory.authenticate(device.mqtt_user, mqtt_password)) === 'object',
    );
    await admin.close();
    await directory.close();
    await test.drop();
  });
});

import assert from 'node:assert/strict';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { ensureAccount } from '../../src/devices/accounts.js';
import { hashSecret } from '../../src/devices/credentials.js';
import { luhnDigit } from '../../src/devices/drn.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const caller = { name: 'demo', address: '127.0.0.1' };

describe('registry', () => {
  let test: TestDatabase;
  let registry: Registry;
  before(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    await test.database.query({ text: `insert into users (email, role) values ('demo', 'admin')` });
  });
  after(() => test.drop());

  it('answers POST /devices with five texts and keeps the password as a hash only [H-1]', async () => {
    const { device, mqtt_password } = await registry.create({ type: 'sensor' }, caller);
    for (const text of [device.id, device.type, device.mqtt_user, mqtt_password, device.created_at])
      assert.equal(typeof text, 'string');
    assert.equal(device.meter_id, device.id);
    assert.equal(device.mqtt_user, device.meter_id);
    const { rows } = await test.database.query<{ password_hash: Buffer }>({
      text: 'select password_hash from devices where id = $1',
      values: [device.id],
    });
    assert.deepEqual(rows[0]?.password_hash, hashSecret(mqtt_password));
  });

  it('gives a device without user_id to the caller', async () => {
    const { device } = await registry.create({ type: 'meter', meter_id: 'OWNED' }, caller);
    const { rows } = await test.database.query<{ email: string }>({
      text: 'select email from users where id = $1',
      values: [device.user_id],
    });
    assert.equal(rows[0]?.email, 'demo');
  });

  it('lists to an account its own devices only, whatever it filters by [S-4]', async () => {
    const { rows } = await test.database.query<{ id: string }>({
      text: `insert into users (email, role) values ('p1', 'prosumer'), ('p2', 'prosumer') returning id::text`,
    });
    const [mine = '', yours = ''] = rows.map(({ id }) => id);
    for (const [meter_id, user_id] of [
      ['OF-P1-A', mine],
      ['OF-P1-B', mine],
      ['OF-P2', yours],
    ] as const)
      await registry.create({ type: 'meter', meter_id, user_id }, caller);
    const found = async (query: Record<string, string>): Promise<[string[], number]> => {
      const { data, total } = await registry.list({ sort: 'meter_id', order: 'asc', ...query }, mine);
      return [data.map(({ meter_id }) => meter_id), total];
    };
    assert.deepEqual(await found({}), [['OF-P1-A', 'OF-P1-B'], 2]);
    assert.deepEqual(await found({ limit: '1', page: '2' }), [['OF-P1-B'], 2]);
    assert.deepEqual(await found({ meter_id: 'OF-P2' }), [[], 0]);
    assert.deepEqual(await found({ user_id: yours }), [[], 0]);
    assert.deepEqual(await found({ search: 'OF-P' }), [['OF-P1-A', 'OF-P1-B'], 2]);
  });

  it('takes a drn with a right check digit and answers everything that was given', async () => {
    const input = {
      type: 'meter',
      meter_id: 'M1',
      drn: '09000030529',
      name: 'Shop',
      base_power: 1.5,
      base_voltage: 240,
    };
    const { device } = await registry.create({ ...input, unknown: 'ignored' }, caller);
    assert.deepEqual({ ...device, ...input }, device);
    assert.deepEqual(await registry.get('M1'), device);
    assert.deepEqual(await registry.get(device.id), device);
  });

  for (const [title, input, code, path] of [
    ['no type', {}, 'SCHEMA_INVALID', '/type'],
    ['a type with capitals', { type: 'Meter' }, 'SCHEMA_INVALID', '/type'],
    ['a meter_id with a wildcard', { type: 'meter', meter_id: 'a+b' }, 'SCHEMA_INVALID', '/meter_id'],
    ['a NUL in the name', { type: 'meter', name: 'a\u0000b' }, 'SCHEMA_INVALID', '/name'],
    ['no object', 'meter', 'SCHEMA_INVALID', ''],
    ['an array', [], 'SCHEMA_INVALID', ''],
    ['a drn of 12 digits', { type: 'meter', drn: '090000305290' }, 'SCHEMA_INVALID', '/drn'],
    ['a wrong check digit', { type: 'meter', drn: '09000030528' }, 'DRN_CHECK_DIGIT', '/drn'],
    [
      'a power that JSON.parse made infinite',
      { type: 'meter', base_power: Infinity },
      'SCHEMA_INVALID',
      '/base_power',
    ],
    [
      'an owner that is none',
      { type: 'meter', user_id: '00000000-0000-0000-0000-000000000000' },
      'SCHEMA_INVALID',
      '/user_id',
    ],
  ] as const) {
    it(`refuses ${title}, naming the field`, async () => {
      await assert.rejects(
        registry.create(input, caller),
        (error: { code: string; details: { path: string }[] }) => {
          assert.equal(error.code, code);
          assert.ok(error.details.some((detail) => detail.path === path));
          return true;
        },
      );
    });
  }

  it('refuses a meter_id or drn that names another device or a service account in any way', async () => {
    const { device } = await registry.create({ type: 'meter', meter_id: 'M2', drn: '1234567890003' }, caller);
    await ensureAccount(test.database, { name: 'someone', may_read: [], may_write: [] }, 'secret', caller);
    for (const meter_id of ['M2', '1234567890003', device.id, 'someone'])
      await assert.rejects(registry.create({ type: 'meter', meter_id }, caller), { code: 'METER_ID_TAKEN' });
    await assert.rejects(registry.create({ type: 'meter', drn: '1234567890003' }, caller), {
      code: 'DRN_TAKEN',
    });
    await registry.create({ type: 'meter', meter_id: '79927398713' }, caller);
    await assert.rejects(registry.create({ type: 'meter', drn: '79927398713' }, caller), {
      code: 'DRN_TAKEN',
    });
    const account = { name: 'M2', may_read: [], may_write: [] };
    await assert.rejects(ensureAccount(test.database, account, 'x', caller), { code: 'METER_ID_TAKEN' });
  });

  it('gives one of two simultaneous requests for a name the device and the other the refusal', async () => {
    const wanted = Array.from({ length: 5 }, () =>
      registry.create({ type: 'meter', meter_id: 'RACE' }, caller),
    );
    const outcomes = await Promise.allSettled(wanted);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'METER_ID_TAKEN');
  });

  it('changes what a patch names, clears what it nulls, and keeps the meter_id for ever', async () => {
    await registry.create({ type: 'meter', meter_id: 'M3', name: 'old', location: 'here' }, caller);
    const device = await registry.update('M3', { name: null, base_voltage: 480, meter_id: 'M3' }, caller);
    assert.equal(device.name, null);
    assert.equal(device.location, 'here');
    assert.equal(device.base_voltage, 480);
    await assert.rejects(registry.update('M3', { meter_id: 'M4' }, caller), { code: 'SCHEMA_INVALID' });
  });

  it('moves a device to another tariff plan, if that has a version', async () => {
    await registry.create({ type: 'meter', meter_id: 'TARIFFED' }, caller);
    await assert.rejects(registry.update('TARIFFED', { tariff_plan: 'shops' }, caller), {
      code: 'SCHEMA_INVALID',
      details: [{ path: '/tariff_plan', message: 'names no plan that has a version' }],
    });
    await test.database.query({
      text: `insert into tariffs (plan, currency, time_zone, valid_from, blocks)
             values ('shops', 'KES', 'Africa/Nairobi', now(), '[{"from": 0, "price": 30}]')`,
    });
    assert.equal((await registry.update('TARIFFED', { tariff_plan: 'shops' }, caller)).tariff_plan, 'shops');
    assert.equal((await registry.update('TARIFFED', { name: 'Shop' }, caller)).tariff_plan, 'shops');
    assert.equal(
      (await registry.update('TARIFFED', { tariff_plan: 'default' }, caller)).tariff_plan,
      'default',
    );
  });

  it('makes a new password that replaces the old one', async () => {
    const { mqtt_password } = await registry.create({ type: 'meter', meter_id: 'M5' }, caller);
    const fresh = await registry.resetPassword('M5', caller);
    assert.notEqual(fresh.mqtt_password, mqtt_password);
    assert.equal(fresh.mqtt_user, 'M5');
  });

  it('leaves the old password valid for a grace, when one is asked for, and none otherwise', async () => {
    const { device, mqtt_password } = await registry.create({ type: 'meter', meter_id: 'GRACED' }, caller);
    const until = async (): Promise<unknown[]> => {
      const { rows } = await test.database.query<{ before: Buffer | null; seconds: number | null }>({
        text: `select previous_password_hash as before,
                 round(extract(epoch from previous_password_until - now()))::int as seconds
               from devices where id = $1`,
        values: [device.id],
      });
      return [rows[0]?.before ?? null, rows[0]?.seconds ?? null];
    };
    const fresh = await registry.resetPassword('GRACED', caller, { id: 'GRACED', grace_seconds: 3600 });
    assert.equal(fresh.grace_seconds, 3600);
    assert.deepEqual(await until(), [hashSecret(mqtt_password), 3600]);
    await registry.resetPassword('GRACED', caller);
    assert.deepEqual(await until(), [null, null]);
    for (const grace_seconds of [-1, 1.5, '60', 31_536_001])
      await assert.rejects(registry.resetPassword('GRACED', caller, { grace_seconds }), {
        code: 'SCHEMA_INVALID',
      });
  });

  it('answers DEVICE_UNKNOWN for names that nobody has or could have', async () => {
    for (const id of ['nobody', '', 'a/b', 'x\u0000', 'x'.repeat(1000)]) {
      await assert.rejects(registry.get(id), { code: 'DEVICE_UNKNOWN' });
      await assert.rejects(registry.update(id, {}, caller), { code: 'DEVICE_UNKNOWN' });
      await assert.rejects(registry.remove(id, caller), { code: 'DEVICE_UNKNOWN' });
      await assert.rejects(registry.resetPassword(id, caller), { code: 'DEVICE_UNKNOWN' });
    }
  });

  it('lists by page, order and filter with the total', async () => {
    for (let n = 1; n <= 5; n++)
      await registry.create({ type: 'lamp', meter_id: `L${n}`, location: 'hall' }, caller);
    const list = await registry.list({
      type: 'lamp',
      sort: 'meter_id',
      order: 'desc',
      limit: '2',
      page: '2',
    });
    assert.deepEqual(
      list.data.map(({ meter_id }) => meter_id),
      ['L3', 'L2'],
    );
    assert.deepEqual([list.page, list.limit, list.total], [2, 2, 5]);
    assert.equal((await registry.list({ type: 'lamp', online: 'true' })).total, 0);
    await assert.rejects(registry.list({ sort: 'password_hash' }), { code: 'SCHEMA_INVALID' });
    await assert.rejects(registry.list({ online: 'maybe' }), { code: 'SCHEMA_INVALID' });
  });

  it('writes down who did what, without a secret [S-3]', async () => {
    const { device } = await registry.create({ type: 'meter', meter_id: 'M6' }, caller);
    await registry.update('M6', { name: 'new' }, caller);
    await registry.resetPassword('M6', caller);
    assert.equal((await registry.remove('M6', caller)).name, 'new');
    const { rows } = await test.database.query<{
      actor: string;
      action: string;
      address: string;
      details: object;
    }>({
      text: 'select actor, action, address, details from audit_log where subject = $1 order by id',
      values: [device.id],
    });
    assert.deepEqual(
      rows.map(({ action }) => action),
      ['device.created', 'device.updated', 'device.password_reset', 'device.deleted'],
    );
    assert.ok(rows.every(({ actor, address }) => actor === 'demo' && address === '127.0.0.1'));
  });

  describe('with devices of all sorts', () => {
    before(async () => {
      for (const [meter_id, type, more, state] of sorts) {
        await registry.create({ type, meter_id, ...more }, caller);
        await test.database.query({
          text: `update devices set ${state} where meter_id = $1`,
          values: [meter_id],
        });
      }
    });

    const found = async (query: object): Promise<string[]> => {
      const { data, total } = await registry.list({ sort: 'meter_id', order: 'asc', ...query, type: 'kiln' });
      assert.equal(total, data.length);
      return data.map(({ meter_id }) => meter_id);
    };

    for (const [title, query, wanted] of [
      ['part of a meter_id in any case', { search: 'iln-a' }, ['KILN-A']],
      ['part of a name', { search: 'brick' }, ['KILN-A', 'KILN-B']],
      ['part of a location', { search: 'YARD 7' }, ['KILN-B']],
      ['part of a drn', { search: '70000000' }, ['KILN-C']],
      ['nothing across two fields', { search: 'KILN-Abrick' }, []],
      ['wildcards as letters', { search: '%' }, ['KILN-D']],
      ['who was never connected', { seen: 'false', revoked: 'false' }, ['KILN-B']],
      ['who was, and is not', { seen: 'true', online: 'false', revoked: 'false' }, ['KILN-C']],
      ['who is revoked', { revoked: 'true' }, ['KILN-D']],
      ['who is there', { online: 'true' }, ['KILN-A', 'KILN-M']],
      ['no mocks', { mock: 'false', online: 'true' }, ['KILN-A']],
    ] as const) {
      it(`finds ${title}`, async () => assert.deepEqual(await found(query), wanted));
    }

    it('counts them by state and type, mocks apart', async () => {
      const { types, devices, mocks } = await registry.count();
      assert.deepEqual(
        types.find(({ type }) => type === 'kiln'),
        { type: 'kiln', devices: 4, mocks: 1 },
      );
      assert.deepEqual(mocks, { total: 1, online: 1, offline: 0, unseen: 0, revoked: 0 });
      const { total, online, offline, unseen, revoked } = devices;
      assert.equal(total, online + offline + unseen + revoked);
      assert.deepEqual([online, offline, revoked], [1, 1, 1]);
      assert.equal(
        total,
        types.reduce((sum, each) => sum + each.devices, 0),
      );
    });
  });
});

const sorts = [
  ['KILN-A', 'kiln', { name: 'Brick 1' }, `connected_instance = 'here', last_seen_at = now()`],
  ['KILN-B', 'kiln', { name: 'brick 2', location: 'Yard 7' }, 'status = status'],
  ['KILN-C', 'kiln', { drn: `0700000001${luhnDigit('0700000001')}` }, 'last_seen_at = now()'],
  ['KILN-D', 'kiln', { name: '100 %' }, 'last_seen_at = now(), revoked_at = now()'],
  ['KILN-M', 'kiln', {}, `mock = true, connected_instance = 'here', last_seen_at = now()`],
] as const;

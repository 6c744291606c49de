import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createDeviceKeys, type DeviceKeys } from '../../../src/devices/keys/device-keys.js';
import { createKeyring } from '../../../src/devices/keys/keyring.js';
import { masterKey } from '../../../src/devices/keys/master-key.js';
import { createDirectory } from '../../../src/devices/principals.js';
import { createRegistry, type Registry } from '../../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';

const caller = { name: 'test', address: '192.0.2.1' };
const lifetime = { rotationDays: 90, graceDays: 30 };
const key = masterKey('11'.repeat(32));
const never = { signal: new AbortController().signal };

describe('keys of devices', () => {
  let test: TestDatabase;
  let registry: Registry;
  let keys: DeviceKeys;
  let number = 0;
  before(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    keys = createDeviceKeys(test.database, key, lifetime);
  });
  after(() => test.drop());

  async function newMeter(): Promise<{ meter_id: string; password: string }> {
    const meter_id = `K${++number}`;
    const { mqtt_password } = await registry.create({ type: 'meter', meter_id }, caller);
    return { meter_id, password: mqtt_password };
  }

  async function rowsOf(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
    return (await test.database.query<Record<string, unknown>>({ text, values })).rows;
  }

  it('hands out an HMAC secret this once, and keeps it encrypted [H-3]', async () => {
    const { meter_id } = await newMeter();
    const issued = await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    assert.match(issued.secret ?? '', /^[0-9a-f]{64}$/);
    assert.equal(Date.parse(issued.due_at) - Date.parse(issued.created_at), 90 * 86_400_000);
    assert.equal(Date.parse(issued.expires_at) - Date.parse(issued.created_at), 120 * 86_400_000);
    const everything = await rowsOf('select k::text as row from device_keys k where meter_id = $1', meter_id);
    assert.equal(everything.length, 1);
    assert.equal(JSON.stringify(everything).includes(issued.secret ?? '-'), false);
    const audit = await rowsOf('select * from audit_log where subject = $1', meter_id);
    assert.deepEqual(
      audit.map(({ action, actor, address }) => [action, actor, address]),
      [['device_key.registered', 'test', '192.0.2.1']],
    );
    assert.equal(JSON.stringify(audit).includes(issued.secret ?? '-'), false);
  });

  it('lists what a meter has and had, newest first, by state, and never a secret', async () => {
    const { meter_id } = await newMeter();
    assert.deepEqual(await keys.list(meter_id), { meter_id, revoked_at: null, keys: [] });
    const first = await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    const second = await keys.rotate(meter_id, {}, caller);
    await test.database.query({
      text: `update device_keys set created_at = now() - interval '91 days' where id = $1::uuid`,
      values: [second.key_id],
    });
    await test.database.query({
      text: `update device_keys set created_at = now() - interval '200 days' where id = $1::uuid`,
      values: [first.key_id],
    });
    const listed = await keys.list(meter_id);
    assert.deepEqual(
      listed.keys.map(({ key_id, state, due }) => [key_id, state, due]),
      [
        [second.key_id, 'current', true],
        [first.key_id, 'expired', false],
      ],
    );
    const third = await keys.rotate(meter_id, {}, caller);
    assert.deepEqual(
      (await keys.list(meter_id)).keys.map(({ state }) => state),
      ['current', 'grace', 'expired'],
    );
    assert.ok(!JSON.stringify(await keys.list(meter_id)).includes(third.secret ?? '-'));
    await keys.revoke(meter_id, caller);
    const after = await keys.list(meter_id);
    assert.ok(after.revoked_at !== null);
    assert.deepEqual([...new Set(after.keys.map(({ state }) => state))], ['revoked']);
    for (const name of ['NOBODY', 'no/body', ''])
      await assert.rejects(keys.list(name), { code: 'METER_UNKNOWN' });
  });

  it('opens a secret with the same master key and for the same meter only', async () => {
    const sealed = key.seal(Buffer.alloc(32, 7), 'M|1');
    assert.deepEqual(key.open(sealed, 'M|1'), Buffer.alloc(32, 7));
    assert.throws(() => key.open(sealed, 'N|1'), { code: 'CONFIGURATION' });
    assert.throws(() => masterKey('22'.repeat(32)).open(sealed, 'M|1'), { code: 'CONFIGURATION' });
    assert.throws(() => masterKey('').open(sealed, 'M|1'), { code: 'CONFIGURATION' });
    assert.throws(() => masterKey('short'), { code: 'CONFIGURATION' });
    for (let at = 0; at < sealed.length; at++) {
      const bent = Buffer.from(sealed);
      bent[at] = (bent[at] ?? 0) ^ 1;
      assert.throws(() => key.open(bent, 'M|1'), { code: 'CONFIGURATION' }, `byte ${at}`);
    }
  });

  it('takes an Ed25519 public key as hex or as PEM, and no secret goes out', async () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const hex = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex');
    for (const public_key of [
      hex,
      hex.toUpperCase(),
      String(publicKey.export({ type: 'spki', format: 'pem' })),
    ]) {
      const { meter_id } = await newMeter();
      const issued = await keys.register({ meter_id, algorithm: 'ed25519', public_key }, caller);
      assert.equal(issued.secret, undefined);
      const [row] = await rowsOf(
        `select encode(public_key, 'hex') as hex from device_keys where meter_id = $1`,
        meter_id,
      );
      assert.equal(row?.['hex'], hex);
    }
  });

  const { privateKey } = generateKeyPairSync('ed25519');
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const wrong: readonly [title: string, input: object, path: string][] = [
    ['no algorithm', {}, '/algorithm'],
    ['another algorithm', { algorithm: 'rsa' }, '/algorithm'],
    ['an HMAC secret of the caller’s own', { algorithm: 'hmac-sha256', public_key: 'ab' }, '/public_key'],
    ['Ed25519 without a key', { algorithm: 'ed25519' }, '/public_key'],
    ['31 bytes', { algorithm: 'ed25519', public_key: 'ab'.repeat(31) }, '/public_key'],
    [
      'a private key',
      { algorithm: 'ed25519', public_key: privateKey.export({ type: 'pkcs8', format: 'pem' }) },
      '/public_key',
    ],
    [
      'a key of another curve',
      { algorithm: 'ed25519', public_key: p256.export({ type: 'spki', format: 'pem' }) },
      '/public_key',
    ],
    [
      'the key of zeros, under which forgeries are right',
      { algorithm: 'ed25519', public_key: '00'.repeat(32) },
      '/public_key',
    ],
    ['the neutral point', { algorithm: 'ed25519', public_key: `01${'00'.repeat(31)}` }, '/public_key'],
    [
      'a point of order 8',
      {
        algorithm: 'ed25519',
        public_key: '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      },
      '/public_key',
    ],
    [
      'an unknown user',
      { algorithm: 'hmac-sha256', user_id: '00000000-0000-4000-8000-000000000000' },
      '/user_id',
    ],
  ];
  for (const [title, input, path] of wrong) {
    it(`refuses ${title}, naming ${path}`, async () => {
      const { meter_id } = await newMeter();
      await assert.rejects(keys.register({ meter_id, ...input }, caller), (error: unknown) => {
        const { code, details } = error as { code: string; details: { path: string }[] };
        assert.equal(code, 'SCHEMA_INVALID');
        return details.some((detail) => detail.path === path);
      });
      assert.deepEqual(await rowsOf('select 1 from device_keys where meter_id = $1', meter_id), []);
    });
  }

  it('refuses a meter that nobody knows, and a second first key, also at once', async () => {
    const unknown = { meter_id: 'NOBODY', algorithm: 'hmac-sha256' };
    await assert.rejects(keys.register(unknown, caller), { code: 'METER_UNKNOWN' });
    const { meter_id } = await newMeter();
    const attempts = Array.from({ length: 5 }, () =>
      keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller),
    );
    const results = await Promise.allSettled(attempts);
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results)
      if (result.status === 'rejected') assert.equal((result.reason as { code: string }).code, 'KEY_EXISTS');
  });

  it('rotates: both keys count until the stated end, and then the old one is expired [H-4]', async () => {
    const { meter_id } = await newMeter();
    const first = await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    const second = await keys.rotate(meter_id, { grace_seconds: 3600 }, caller);
    assert.notEqual(second.secret, first.secret);
    assert.equal(second.previous_key_id, first.key_id);
    const until = Date.parse(second.previous_key_valid_until);
    assert.ok(Math.abs(until - Date.now() - 3_600_000) < 60_000);
    const keyring = createKeyring(test.database, key, { lifetime });
    const found = (await keyring.load([meter_id], never)).get(meter_id);
    assert.deepEqual(
      found?.keys.map(({ id, expires, revoked }) => [id, expires === until, revoked]),
      [
        [second.key_id, false, false],
        [first.key_id, true, false],
      ],
    );
    await keyring.close();
  });

  it('rotates without a word for the grace of DEVICE_KEY_GRACE_DAYS, and no key outlives its own end', async () => {
    const { meter_id } = await newMeter();
    await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    const { previous_key_valid_until } = await keys.rotate(meter_id, undefined, caller);
    assert.ok(Math.abs(Date.parse(previous_key_valid_until) - Date.now() - 30 * 86_400_000) < 60_000);
    await test.database.query({
      text: `update device_keys set created_at = now() - interval '119 days' where meter_id = $1`,
      values: [meter_id],
    });
    const again = await keys.rotate(meter_id, {}, caller);
    assert.ok(Math.abs(Date.parse(again.previous_key_valid_until) - Date.now() - 86_400_000) < 60_000);
  });

  it('rotates with a grace of 0 by revoking the old key at once', async () => {
    const { meter_id } = await newMeter();
    const { key_id } = await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    await keys.rotate(meter_id, { grace_seconds: 0 }, caller);
    const revoked = await rowsOf(
      'select id from device_keys where meter_id = $1 and revoked_at is not null',
      meter_id,
    );
    assert.deepEqual(revoked, [{ id: key_id }]);
  });

  it('rotates to the other algorithm; a meter without a key has nothing to rotate', async () => {
    const { meter_id } = await newMeter();
    await assert.rejects(keys.rotate(meter_id, {}, caller), { code: 'KEY_UNKNOWN' });
    await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    const pair = generateKeyPairSync('ed25519');
    const public_key = String(createPublicKey(pair.privateKey).export({ type: 'spki', format: 'pem' }));
    assert.equal(
      (await keys.rotate(meter_id, { algorithm: 'ed25519', public_key }, caller)).algorithm,
      'ed25519',
    );
    await assert.rejects(keys.rotate(meter_id, {}, caller), { code: 'SCHEMA_INVALID' });
    await assert.rejects(keys.rotate(meter_id, { grace_seconds: -1 }, caller), { code: 'SCHEMA_INVALID' });
  });

  it('rotates the MQTT password too when asked: the old one is good for the grace, and no longer [H-4]', async () => {
    const { meter_id, password } = await newMeter();
    await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    const rotated = await keys.rotate(meter_id, { password: true, grace_seconds: 2 }, caller);
    const directory = createDirectory(test.database);
    const login = async (word: string | undefined): Promise<string> => {
      const found = await directory.authenticate(meter_id, word ?? '');
      return typeof found === 'string' ? found : found.kind;
    };
    assert.equal(await login(rotated.mqtt_password), 'device');
    assert.equal(await login(password), 'device');
    await eventually(async () => assert.equal(await login(password), 'refused'));
    assert.equal(await login(rotated.mqtt_password), 'device');
    await directory.close();
  });

  it('revokes keys and login, tells it again alike, and admits the device again with a new key', async () => {
    const { meter_id, password } = await newMeter();
    await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    const directory = createDirectory(test.database);
    assert.notEqual(await directory.authenticate(meter_id, password), 'refused');
    const revoked = await keys.revoke(meter_id, caller);
    assert.equal(revoked.revoked_keys, 1);
    const again = await keys.revoke(meter_id, caller);
    assert.deepEqual([again.revoked_keys, again.revoked_at], [0, revoked.revoked_at]);
    await eventually(async () => assert.equal(await directory.authenticate(meter_id, password), 'refused'));
    await assert.rejects(keys.revoke('NOBODY', caller), { code: 'METER_UNKNOWN' });
    await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    await eventually(async () =>
      assert.notEqual(await directory.authenticate(meter_id, password), 'refused'),
    );
    await directory.close();
    const audit = await rowsOf('select action from audit_log where subject = $1 order by id', meter_id);
    assert.deepEqual(
      audit.map(({ action }) => action),
      ['device_key.registered', 'device.revoked', 'device_key.registered'],
    );
  });

  it('leaves no key behind for the next device of that name', async () => {
    const { meter_id } = await newMeter();
    await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    await registry.remove(meter_id, caller);
    await registry.create({ type: 'meter', meter_id }, caller);
    assert.deepEqual(await rowsOf('select 1 from device_keys where meter_id = $1', meter_id), []);
  });
});

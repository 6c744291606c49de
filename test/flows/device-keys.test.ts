import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, sign } from 'node:crypto';
import type { MqttClient } from 'mqtt';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';
import { eventually } from '../support/eventually.js';
import { quarter, startHouse, type House } from './house.js';

interface Issued {
  readonly meter_id: string;
  readonly key_id: string;
  readonly algorithm: string;
  readonly secret?: string;
  readonly mqtt_password?: string;
}

describe('the tab Device keys', function () {
  this.timeout(150_000);
  let house: House;
  before(async () => {
    house = await startHouse({ REGISTRATIONS_PER_MINUTE: '40' });
  });
  after(() => house?.close());

  async function ask(path: string, body: unknown, status: number): Promise<Issued> {
    const answer = await house.request('POST', `/api/admin/devices/${path}`, body);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    return answer.body as unknown as Issued;
  }

  async function keyed(meterId: string): Promise<{ client: MqttClient; secret: string; password: string }> {
    const login = await house.register(meterId);
    const { secret = '' } = await ask('register', { meter_id: meterId, algorithm: 'hmac-sha256' }, 201);
    return { client: await house.connect(login), secret, password: login.password };
  }

  const codes = async (meterId: string): Promise<unknown[]> =>
    (
      await house.rows(
        'select part, code from quarantined_messages where meter_id = $1 order by received_at, part',
        meterId,
      )
    ).map(({ code }) => code);
  const stored = (meterId: string): Promise<unknown> =>
    house.value('select count(*)::int from meter_readings where meter_id = $1', meterId);

  it('hands out a secret once, and then takes only what it signed: before that, anything [H-3]', async () => {
    const login = await house.register('SIGN1');
    const client = await house.connect(login);
    const topic = 'meters/SIGN1/readings';
    await client.publishAsync(topic, JSON.stringify(unsigned(1)), { qos: 1 });
    assert.equal(await stored('SIGN1'), 1);
    const { secret = '', algorithm } = await ask(
      'register',
      { meter_id: 'SIGN1', algorithm: 'hmac-sha256' },
      201,
    );
    assert.deepEqual([secret.length, algorithm], [64, 'hmac-sha256']);
    await client.publishAsync(topic, JSON.stringify(unsigned(2)), { qos: 1 });
    await client.publishAsync(topic, JSON.stringify(signed('SIGN1', 3, secret)), { qos: 1 });
    await client.publishAsync(topic, JSON.stringify({ ...signed('SIGN1', 4, secret), kwh_amount: 2 }), {
      qos: 1,
    });
    assert.equal(await stored('SIGN1'), 2);
    assert.deepEqual(await codes('SIGN1'), ['SIGNATURE_MISSING', 'SIGNATURE_INVALID']);
    const everything = JSON.stringify([
      await house.rows('select k::text as row from device_keys k'),
      await house.rows('select * from audit_log'),
      house.appliance.output(),
    ]);
    assert.equal(everything.includes(secret), false);
  });

  it('judges each reading of an array by its own signature', async () => {
    const { client, secret } = await keyed('SIGN2');
    const [good, bad, also] = [
      signed('SIGN2', 1, secret),
      signed('SIGN2', 2, secret),
      signed('SIGN2', 3, secret),
    ];
    const batch = [good, { ...bad, device_signature: good.device_signature }, also, unsigned(4)];
    await client.publishAsync('meters/SIGN2/readings', JSON.stringify(batch), { qos: 1 });
    assert.equal(await stored('SIGN2'), 2);
    assert.deepEqual(await codes('SIGN2'), ['SIGNATURE_INVALID', 'SIGNATURE_MISSING']);
    const again = signed('SIGN2', 1, secret);
    const asMeter = { ...unsigned(5), meter_signature: signed('SIGN2', 5, secret).device_signature };
    await client.publishAsync('meters/SIGN2/readings', JSON.stringify([again, asMeter]), { qos: 1 });
    assert.equal(await stored('SIGN2'), 3);
  });

  it('takes Ed25519 as well, 500 at once', async () => {
    const login = await house.register('SIGN3');
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const public_key = publicKey.export({ type: 'spki', format: 'pem' });
    const issued = await ask('register', { meter_id: 'SIGN3', algorithm: 'ed25519', public_key }, 201);
    assert.equal(issued.secret, undefined);
    const client = await house.connect(login);
    const batch = Array.from({ length: 500 }, (_, index) => {
      const reading = unsigned(index + 1);
      const text = canonicalString('SIGN3', 12_500, Date.parse(reading.reading_timestamp));
      return { ...reading, device_signature: sign(null, Buffer.from(text), privateKey).toString('hex') };
    });
    await client.publishAsync('meters/SIGN3/readings', JSON.stringify(batch), { qos: 1 });
    assert.equal(await stored('SIGN3'), 500);
    await client.publishAsync('meters/SIGN3/readings', JSON.stringify({ ...batch[0], kwh_amount: 3 }), {
      qos: 1,
    });
    assert.deepEqual(await codes('SIGN3'), ['SIGNATURE_INVALID']);
  });

  it('rotates: both keys and both passwords hold for the grace, and 0 ends the old key at once [H-4]', async () => {
    const { client, secret, password } = await keyed('SIGN4');
    const next = await ask('SIGN4/rotate', { password: true, grace_seconds: 3600 }, 200);
    await client.publishAsync('meters/SIGN4/readings', JSON.stringify(signed('SIGN4', 1, secret)), {
      qos: 1,
    });
    await client.publishAsync(
      'meters/SIGN4/readings',
      JSON.stringify(signed('SIGN4', 2, next.secret ?? '')),
      { qos: 1 },
    );
    assert.equal(await stored('SIGN4'), 2);
    for (const [index, word] of [password, next.mqtt_password ?? ''].entries())
      await house.connect({ user: 'SIGN4', password: word }, { clientId: `SIGN4-${index}` });
    const last = await ask('SIGN4/rotate', { grace_seconds: 0 }, 200);
    await eventually(async () => {
      const [ended, good] = [signed('SIGN4', 3, next.secret ?? ''), signed('SIGN4', 4, last.secret ?? '')];
      await client.publishAsync('meters/SIGN4/readings', JSON.stringify([ended, good]), { qos: 1 });
      assert.deepEqual([...new Set(await codes('SIGN4'))], ['KEY_REVOKED']);
    });
    assert.equal(await stored('SIGN4'), 3);
  });

  it('revokes: the session closes within a second, the login is refused, the lines of the audit log stay', async () => {
    const { client, password } = await keyed('SIGN5');
    const closed = new Promise<number>((settle) => client.once('close', () => settle(Date.now())));
    const begun = Date.now();
    await ask('SIGN5/revoke', undefined, 200);
    assert.ok((await closed) - begun < 1000);
    await assert.rejects(house.connect({ user: 'SIGN5', password }), { code: 5 });
    await ask('SIGN5/revoke', {}, 200);
    const audit = await house.rows(`select action from audit_log where subject = 'SIGN5' order by id`);
    assert.deepEqual(
      audit.map(({ action }) => action),
      ['device_key.registered', 'device.revoked'],
    );
  });

  it('refuses keys of 91 + 30 days, and knows them as due before', async () => {
    const { client, secret } = await keyed('SIGN6');
    await house.rows(
      `update device_keys set created_at = now() - interval '119 days' where meter_id = 'SIGN6'`,
    );
    await eventually(async () => {
      await client.publishAsync('meters/SIGN6/readings', JSON.stringify(signed('SIGN6', 1, secret)), {
        qos: 1,
      });
      assert.equal(await stored('SIGN6'), 1);
    });
    await house.rows(
      `update device_keys set created_at = now() - interval '121 days' where meter_id = 'SIGN6'`,
    );
    await eventually(async () => {
      await client.publishAsync('meters/SIGN6/readings', JSON.stringify(signed('SIGN6', 2, secret)), {
        qos: 1,
      });
      assert.ok((await codes('SIGN6')).includes('KEY_EXPIRED'));
    });
  });

  it('answers too many requests of one address with 429 and when to come back', async () => {
    let answer = await house.request('POST', '/api/admin/devices/NOBODY/revoke', {});
    for (let turn = 0; turn < 41 && answer.status !== 429; turn++)
      answer = await house.request('POST', '/api/admin/devices/NOBODY/revoke', {});
    assert.deepEqual([answer.status, answer.body.error?.code], [429, 'RATE_LIMITED']);
    const seconds = Number(answer.headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 60, String(seconds));
  });

  it('counts keys and signatures', async () => {
    const text = await (await fetch(`${house.appliance.url}/metrics`)).text();
    for (const name of [
      'device_signature_verifications_total{result="valid"}',
      'device_signature_verifications_total{result="invalid"}',
      'device_authentication_duration_seconds_count',
      'device_keys_registered_total',
      'device_keys_revoked_total',
      'meterflow_device_keys_due',
    ])
      assert.ok(text.includes(`\n${name} `), name);
  });
});

function unsigned(quarters: number): { kwh_amount: number; reading_timestamp: string } {
  return { kwh_amount: 1.25, reading_timestamp: quarter(quarters) };
}

function signed(meterId: string, quarters: number, secret: string) {
  const reading = unsigned(quarters);
  const text = canonicalString(meterId, 12_500, Date.parse(reading.reading_timestamp));
  const key = createSecretKey(Buffer.from(secret, 'hex'));
  return { ...reading, device_signature: hmacSignature(text, key) };
}

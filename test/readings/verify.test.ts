import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { openDatabase, type Database } from '../../src/database/database.js';
import { createDeviceKeys, type DeviceKeys } from '../../src/devices/keys/device-keys.js';
import { createKeyring, type Keyring } from '../../src/devices/keys/keyring.js';
import { masterKey } from '../../src/devices/keys/master-key.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { registry as metricsRegistry } from '../../src/operation/metrics.js';
import type { Reading } from '../../src/readings/reading.js';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';
import { createVerifier, type AuthMethod, type Verifier } from '../../src/readings/verify.js';
import { createAdmin, createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through } from '../support/fault-proxy.js';

const caller = { name: 'test' };
const key = masterKey('11'.repeat(32));
const wait = { signal: new AbortController().signal };
const energy = 12_500;
const time = 1_795_176_000_000;

describe('the verifier of signatures', () => {
  let test: TestDatabase;
  let registry: Registry;
  let keys: DeviceKeys;
  let keyring: Keyring;
  let number = 0;
  const verifiers: Verifier[] = [];
  before(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    keys = createDeviceKeys(test.database, key);
    keyring = createKeyring(test.database, key, { useEveryMs: 100 });
  });
  after(async () => {
    for (const verifier of verifiers) await verifier.close();
    await keyring.close();
    await test.drop();
  });

  function verifierOf(method: AuthMethod, now?: () => number): Verifier {
    const verifier = createVerifier(keyring, { method, ...(now === undefined ? {} : { now }) });
    verifiers.push(verifier);
    return verifier;
  }

  async function newMeter(): Promise<string> {
    const meter_id = `V${++number}`;
    await registry.create({ type: 'meter', meter_id }, caller);
    return meter_id;
  }

  async function withHmac(): Promise<{ meter: string; secret: KeyObject; keyId: string }> {
    const meter = await newMeter();
    const { secret, key_id } = await keys.register({ meter_id: meter, algorithm: 'hmac-sha256' }, caller);
    return { meter, secret: asSecret(secret), keyId: key_id };
  }

  async function withEd25519(): Promise<{ meter: string; privateKey: KeyObject }> {
    const meter = await newMeter();
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const public_key = String(publicKey.export({ type: 'spki', format: 'pem' }));
    await keys.register({ meter_id: meter, algorithm: 'ed25519', public_key }, caller);
    return { meter, privateKey };
  }

  /** `valid`, or the code. */
  async function outcomeOf(verifier: Verifier, ...readings: Reading[]): Promise<string[]> {
    const { valid, rejected } = await verifier.verify(readings, wait);
    assert.equal(valid.length + rejected.length, readings.length);
    return readings.map((one) => {
      const refusal = rejected.find(({ part, meter_id }) => part === one.part && meter_id === one.meter_id);
      return refusal?.code ?? 'valid';
    });
  }

  it('takes what an HMAC key or an Ed25519 key signed, in either case of its digits', async () => {
    const verifier = verifierOf('none');
    const { meter, secret } = await withHmac();
    const signed = hmacSignature(canonicalString(meter, energy, time), secret);
    assert.deepEqual(await outcomeOf(verifier, reading(meter, signed)), ['valid']);
    assert.deepEqual(await outcomeOf(verifier, reading(meter, signed.toUpperCase())), ['valid']);
    const other = await withEd25519();
    const sealed = edSignature(other.meter, other.privateKey);
    assert.deepEqual(await outcomeOf(verifier, reading(other.meter, sealed)), ['valid']);
    assert.deepEqual(await outcomeOf(verifier, reading(other.meter, sealed.toUpperCase())), ['valid']);
  });

  it('judges HMAC at once when the key is in memory, and never makes it wait for Ed25519', async () => {
    const verifier = verifierOf('none');
    const { meter, secret } = await withHmac();
    const signed = reading(meter, hmacSignature(canonicalString(meter, energy, time), secret));
    const other = await withEd25519();
    const slow = reading(other.meter, edSignature(other.meter, other.privateKey));
    // The notifications of the registration may still come and take the keys out of memory again.
    const later = await eventually(async () => {
      await keyring.load([meter, other.meter], wait);
      const begun = verifier.begin([slow, signed], wait);
      await begun.later?.verdicts;
      assert.deepEqual([begun.valid, begun.rejected, begun.later?.readings], [[signed], [], [slow]]);
      return begun.later;
    });
    assert.deepEqual((await later?.verdicts)?.valid, [slow]);
  });

  const bent: readonly [title: string, change: (signed: Reading, signature: string) => Reading][] = [
    ['another energy', (signed) => ({ ...signed, energy: energy + 1 })],
    ['another time', (signed) => ({ ...signed, time: time + 1 })],
    [
      'another digit',
      (signed, text) => ({ ...signed, signature: (text.startsWith('0') ? '1' : '0') + text.slice(1) }),
    ],
    ['one digit less', (signed, text) => ({ ...signed, signature: text.slice(1) })],
    ['a text that is no hex', (signed, text) => ({ ...signed, signature: 'z'.repeat(text.length) })],
    [
      'a signature of the other kind',
      (signed, text) => ({ ...signed, signature: 'a'.repeat(192 - text.length) }),
    ],
  ];
  for (const [title, change] of bent) {
    it(`refuses ${title} as SIGNATURE_INVALID, under HMAC and under Ed25519`, async () => {
      const verifier = verifierOf('none');
      const first = await withHmac();
      const signature = hmacSignature(canonicalString(first.meter, energy, time), first.secret);
      assert.deepEqual(await outcomeOf(verifier, change(reading(first.meter, signature), signature)), [
        'SIGNATURE_INVALID',
      ]);
      const second = await withEd25519();
      const sealed = edSignature(second.meter, second.privateKey);
      assert.deepEqual(await outcomeOf(verifier, change(reading(second.meter, sealed), sealed)), [
        'SIGNATURE_INVALID',
      ]);
    });
  }

  it('refuses what another meter signed', async () => {
    const [one, other] = [await withHmac(), await withHmac()];
    const stolen = hmacSignature(canonicalString(one.meter, energy, time), one.secret);
    const forged = hmacSignature(canonicalString(other.meter, energy, time), one.secret);
    const verifier = verifierOf('none');
    assert.deepEqual(
      await outcomeOf(verifier, reading(other.meter, stolen), reading(other.meter, forged, 1)),
      ['SIGNATURE_INVALID', 'SIGNATURE_INVALID'],
    );
  });

  const unsigned: readonly [
    method: AuthMethod,
    source: Reading['source'],
    keyless: string,
    signedKeyless: string,
  ][] = [
    ['none', 'mqtt', 'valid', 'valid'],
    ['none', 'http', 'valid', 'valid'],
    ['hmac', 'mqtt', 'SIGNATURE_MISSING', 'SIGNATURE_INVALID'],
    ['ed25519', 'mqtt', 'SIGNATURE_MISSING', 'SIGNATURE_INVALID'],
    ['mtls', 'mqtt', 'valid', 'valid'],
    ['mtls', 'http', 'SIGNATURE_MISSING', 'SIGNATURE_INVALID'],
  ];
  for (const [method, source, keyless, signedKeyless] of unsigned) {
    it(`DEVICE_AUTH_METHOD=${method}, over ${source}: without a key ${keyless}; with a key it must be signed`, async () => {
      const verifier = verifierOf(method);
      const bare = await newMeter();
      const { meter } = await withHmac();
      const readings = [
        { ...reading(bare, null), source },
        { ...reading(bare, 'ab'.repeat(32), 1), source },
        { ...reading(meter, null, 2), source },
        { ...reading(meter, '', 3), source },
      ];
      assert.deepEqual(await outcomeOf(verifier, ...readings), [
        keyless,
        signedKeyless,
        'SIGNATURE_MISSING',
        'SIGNATURE_MISSING',
      ]);
    });
  }

  it('DEVICE_AUTH_METHOD=ed25519 does not take HMAC; hmac takes both', async () => {
    const hmac = await withHmac();
    const ed = await withEd25519();
    const both = [
      reading(hmac.meter, hmacSignature(canonicalString(hmac.meter, energy, time), hmac.secret)),
      reading(ed.meter, edSignature(ed.meter, ed.privateKey), 1),
    ];
    assert.deepEqual(await outcomeOf(verifierOf('ed25519'), ...both), ['SIGNATURE_INVALID', 'valid']);
    assert.deepEqual(await outcomeOf(verifierOf('hmac'), ...both), ['valid', 'valid']);
  });

  it('refuses a meter that nobody registered', async () => {
    assert.deepEqual(await outcomeOf(verifierOf('none'), reading('NOBODY', null)), ['METER_UNKNOWN']);
  });

  it('takes both keys during a rotation, then the old one is KEY_EXPIRED', async () => {
    const { meter, secret } = await withHmac();
    const rotated = await keys.rotate(meter, { grace_seconds: 60 }, caller);
    const message = canonicalString(meter, energy, time);
    const [old, fresh] = [
      reading(meter, hmacSignature(message, secret)),
      reading(meter, hmacSignature(message, asSecret(rotated.secret)), 1),
    ];
    assert.deepEqual(await outcomeOf(verifierOf('hmac'), old, fresh), ['valid', 'valid']);
    const minuteLater = verifierOf('hmac', () => Date.now() + 61_000);
    assert.deepEqual(await outcomeOf(minuteLater, old, fresh), ['KEY_EXPIRED', 'valid']);
  });

  it('takes what a new key signed before the news of it is here, and asks once a second for wrong signatures', async () => {
    const { meter, secret } = await withHmac();
    let questions = 0;
    // As if every notification were late.
    const deaf = Object.create(test.database, {
      listen: { value: () => Promise.resolve(() => Promise.resolve()) },
      query: {
        value(statement: { text: string }) {
          if (/from device/.test(statement.text)) questions++;
          return test.database.query(statement);
        },
      },
    }) as Database;
    const stale = createKeyring(deaf, key);
    const verifier = createVerifier(stale, { method: 'hmac' });
    verifiers.push(verifier);
    const message = canonicalString(meter, energy, time);
    assert.deepEqual(await outcomeOf(verifier, reading(meter, hmacSignature(message, secret))), ['valid']);
    const rotated = await keys.rotate(meter, { grace_seconds: 0 }, caller);
    const fresh = reading(meter, hmacSignature(message, asSecret(rotated.secret)));
    const wrong = reading(meter, 'ab'.repeat(32), 1);
    assert.deepEqual(await outcomeOf(verifier, fresh, wrong), ['valid', 'SIGNATURE_INVALID']);
    const asked = questions;
    for (let at = 0; at < 20; at++) assert.deepEqual(await outcomeOf(verifier, wrong), ['SIGNATURE_INVALID']);
    assert.ok(questions - asked <= 1, `${questions - asked} questions`);
    await stale.close();
  });

  it('refuses a key after rotation days and grace days, not before', async () => {
    const { meter, secret } = await withHmac();
    const signed = reading(meter, hmacSignature(canonicalString(meter, energy, time), secret));
    const days =
      (count: number): (() => number) =>
      () =>
        Date.now() + count * 86_400_000;
    assert.deepEqual(await outcomeOf(verifierOf('hmac', days(119)), signed), ['valid']);
    assert.deepEqual(await outcomeOf(verifierOf('hmac', days(121)), signed), ['KEY_EXPIRED']);
  });

  it('knows of a revocation at once, though the key is in memory', async () => {
    const { meter, secret } = await withHmac();
    const signed = reading(meter, hmacSignature(canonicalString(meter, energy, time), secret));
    const verifier = verifierOf('none');
    assert.deepEqual(await outcomeOf(verifier, signed), ['valid']);
    await keys.revoke(meter, caller);
    await eventually(async () => assert.deepEqual(await outcomeOf(verifier, signed), ['KEY_REVOKED']), {
      timeoutMs: 1000,
    });
    assert.deepEqual(await outcomeOf(verifier, reading(meter, null)), ['KEY_REVOKED']);
    // With a new key the device is back, the old one stays revoked.
    const again = await keys.register({ meter_id: meter, algorithm: 'hmac-sha256' }, caller);
    const fresh = reading(meter, hmacSignature(canonicalString(meter, energy, time), asSecret(again.secret)));
    await eventually(async () => assert.deepEqual(await outcomeOf(verifier, fresh), ['valid']), {
      timeoutMs: 1000,
    });
    assert.deepEqual(await outcomeOf(verifier, signed), ['KEY_REVOKED']);
  });

  it('knows after the connections were cut what was revoked meanwhile', async () => {
    const { meter, secret } = await withHmac();
    const signed = reading(meter, hmacSignature(canonicalString(meter, energy, time), secret));
    const verifier = verifierOf('none');
    assert.deepEqual(await outcomeOf(verifier, signed), ['valid']);
    const admin = createAdmin();
    const name = new URL(test.url).pathname.slice(1);
    // No trigger, no notification: as if it had been sent while nobody listened.
    await test.database.transaction(async (tx) => {
      await tx.query({ text: 'alter table device_keys disable trigger device_keys_changed' });
      await tx.query({
        text: 'update device_keys set revoked_at = now() where meter_id = $1',
        values: [meter],
      });
      await tx.query({ text: 'alter table device_keys enable trigger device_keys_changed' });
    });
    await admin.query({
      text: `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`,
      values: [name],
    });
    await admin.close();
    await eventually(async () => assert.deepEqual(await outcomeOf(verifier, signed), ['KEY_REVOKED']));
  });

  it('trusts no key in memory while the database is away, and waits instead of refusing [M-13]', async () => {
    const { meter, secret } = await withHmac();
    const signed = reading(meter, hmacSignature(canonicalString(meter, energy, time), secret));
    const { hostname, port } = new URL(test.url);
    const line = await startFaultProxy({ host: hostname, port: Number(port) });
    const distant = openDatabase({ url: through(line, test.url), connectionsMax: 2, queryTimeoutMs: 1_000 });
    await distant.ready(10_000);
    const cut = createKeyring(distant, key);
    const verifier = createVerifier(cut);
    await eventually(async () => {
      await cut.load([meter], wait);
      assert.ok(cut.get(meter));
    });
    line.cut();
    await eventually(() => distant.state === 'down');
    const { valid, rejected, later } = verifier.begin([signed], wait);
    assert.deepEqual([valid, rejected, later?.readings], [[], [], [signed]]);
    await keys.revoke(meter, caller);
    line.pass();
    const verdicts = await later?.verdicts;
    assert.deepEqual(
      verdicts?.rejected.map(({ code }) => code),
      ['KEY_REVOKED'],
    );
    await verifier.close();
    await cut.close();
    await distant.close();
    await line.close();
  });

  it('says so when a secret was encrypted under another master key, and judges the others', async () => {
    const { meter, secret } = await withHmac();
    const problems: string[] = [];
    const strange = createKeyring(test.database, masterKey('22'.repeat(32)), {
      onProblem: (text) => problems.push(text),
    });
    const verifier = createVerifier(strange);
    const bare = await newMeter();
    const signed = reading(meter, hmacSignature(canonicalString(meter, energy, time), secret));
    assert.deepEqual(await outcomeOf(verifier, signed, reading(bare, null)), ['SIGNATURE_INVALID', 'valid']);
    assert.match(problems[0] ?? '', /MASTER_KEY/);
    await verifier.close();
    await strange.close();
  });

  it('notes the last use of a key now and then, not with every reading', async () => {
    const { meter, secret, keyId } = await withHmac();
    const verifier = verifierOf('none');
    const signed = Array.from({ length: 1000 }, (_, part) =>
      reading(meter, hmacSignature(canonicalString(meter, energy, time), secret), part),
    );
    await verifier.verify(signed, wait);
    await eventually(async () => {
      const { rows } = await test.database.query<{ at: Date | null }>({
        text: 'select last_used_at as at from device_keys where id = $1',
        values: [keyId],
      });
      assert.ok(rows[0]?.at instanceof Date && Date.now() - rows[0].at.getTime() < 60_000);
    });
  });

  it('counts right and wrong signatures', async () => {
    const { meter, secret } = await withHmac();
    const count = async (result: string): Promise<number> => {
      const metric = await metricsRegistry.getSingleMetric('device_signature_verifications_total')?.get();
      return metric?.values.find(({ labels }) => labels['result'] === result)?.value ?? 0;
    };
    const before = [await count('valid'), await count('invalid')] as const;
    const signed = hmacSignature(canonicalString(meter, energy, time), secret);
    await outcomeOf(verifierOf('none'), reading(meter, signed), reading(meter, 'ab'.repeat(32), 1));
    assert.deepEqual([await count('valid'), await count('invalid')], [before[0] + 1, before[1] + 1]);
  });
});

function reading(meter_id: string, signature: string | null, part = 0): Reading {
  const place = { delivery: 0, part, meter_id, device_id: null, user_id: null } as const;
  return { ...place, energy, time, signature, source: 'mqtt', received_at: time, topic: '', qos: 1 };
}

function asSecret(hex: string | undefined): KeyObject {
  return createSecretKey(Buffer.from(hex ?? '', 'hex'));
}

function edSignature(meter: string, privateKey: KeyObject): string {
  return sign(null, Buffer.from(canonicalString(meter, energy, time)), privateKey).toString('hex');
}

import { strict as assert } from 'node:assert';
import { createSecretKey, generateKeyPairSync, sign } from 'node:crypto';
import { createRegistry } from '../../src/devices/registry.js';
import { canonicalString, hmacSignature } from '../../src/readings/signature.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

const time = Math.floor(Date.now() / 900_000) * 900_000;

describe('device-keys, meter-keyring and a reading-validator that verifies', () => {
  let test: TestDatabase;
  let number = 0;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  afterEach(() => stopFlow());

  const flow = (keyring: object = {}): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    {
      id: 'ring',
      type: 'meter-keyring',
      database: 'db',
      authMethod: '${NOT_SET}',
      rotationDays: '',
      graceDays: '30',
      ...keyring,
    },
    {
      id: 'keys',
      type: 'device-keys',
      keyring: 'ring',
      operation: 'operation',
      operationType: 'msg',
      perMinute: '3',
      wires: [['result'], ['refused']],
    },
    {
      id: 'validator',
      type: 'reading-validator',
      keyring: 'ring',
      kwhMax: '',
      ageMaxDays: '',
      aheadMaxMinutes: '',
      schema: '',
      wires: [['valid'], ['rejected']],
    },
    { id: 'catch', type: 'catch', scope: null, wires: [['failed']] },
    ...['result', 'refused', 'valid', 'rejected', 'failed'].map((id) => ({ id, type: 'helper' })),
  ];

  async function newMeter(): Promise<string> {
    const meter_id = `N${++number}`;
    await createRegistry(test.database).create({ type: 'meter', meter_id }, { name: 'test' });
    return meter_id;
  }

  async function ed25519(meter_id: string): Promise<{ input: object; signed: object }> {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const text = canonicalString(meter_id, 12_500, time);
    return {
      input: {
        meter_id,
        algorithm: 'ed25519',
        public_key: publicKey.export({ type: 'spki', format: 'pem' }),
      },
      signed: {
        ...reading(meter_id),
        device_signature: sign(null, Buffer.from(text), privateKey).toString('hex'),
      },
    };
  }

  it('registers a key from a plain message, and the validator knows of it at once', async () => {
    const running = await startFlow(flow());
    const meter_id = await newMeter();
    running.send('validator', { payload: reading(meter_id) });
    await one(running, 'valid');
    const { input, signed } = await ed25519(meter_id);
    running.send('keys', { operation: 'register', payload: input, ticket: 7 });
    const result = await one(running, 'result');
    assert.deepEqual([result.statusCode, result['ticket']], [201, 7]);
    await eventually(() => {
      running.send('validator', { payload: reading(meter_id) });
      return running.received('rejected').length > 0;
    });
    const before = running.received('valid').length;
    running.send('validator', { payload: signed });
    await eventually(() => running.received('valid').length > before);
  });

  it('refuses on its second output, and limits by the address of the request', async () => {
    const running = await startFlow(flow());
    for (let turn = 0; turn < 4; turn++)
      running.send('keys', {
        operation: 'revoke',
        payload: {},
        req: { ip: '192.0.2.9', params: { meter_id: 'NOBODY' } },
      });
    await eventually(() => running.received('refused').length === 4);
    const refused = running.received('refused');
    const limited = refused.filter(({ statusCode }) => statusCode === 429);
    assert.equal(limited.length, 1);
    assert.equal(refused.filter(({ statusCode }) => statusCode === 404).length, 3);
    const headers = limited[0]?.['headers'] as Record<string, string> | undefined;
    assert.ok(Number(headers?.['retry-after']) >= 1);
  });

  it('does not limit the flow itself, nor the dashboard', async () => {
    const running = await startFlow(flow());
    const asked = { operation: 'revoke', payload: { meter_id: 'NOBODY' } };
    for (let turn = 0; turn < 5; turn++)
      running.send('keys', { ...asked, _client: { socketIp: '192.0.2.9' } });
    await eventually(() => running.received('refused').length === 5);
    for (const { statusCode } of running.received('refused')) assert.equal(statusCode, 404);
  });

  it('needs a master key for HMAC secrets, and none for Ed25519', async () => {
    const running = await startFlow(flow());
    const meter_id = await newMeter();
    running.send('keys', { operation: 'register', payload: { meter_id, algorithm: 'hmac-sha256' } });
    const failed = await one(running, 'failed');
    assert.equal((failed['error'] as { code?: string }).code, 'CONFIGURATION');
    running.send('keys', { operation: 'register', payload: (await ed25519(meter_id)).input });
    assert.equal((await one(running, 'result')).statusCode, 201);
  });

  it('verifies nobody and takes any signature without a keyring', async () => {
    const [db, ring, keys, validator, ...rest] = flow();
    const open = { ...validator, keyring: '' } as never;
    const running = await startFlow([db, ring, keys, open, ...rest] as Parameters<typeof startFlow>[0]);
    const text = canonicalString('NOBODY', 12_500, time);
    const wrong = hmacSignature(text, createSecretKey(Buffer.alloc(32)));
    running.send('validator', { payload: { ...reading('NOBODY'), device_signature: wrong } });
    await one(running, 'valid');
  });

  it('a keyring that demands what nobody knows leaves its nodes red, and nothing passes', async () => {
    const running = await startFlow(flow({ authMethod: 'rot13' }));
    running.send('validator', { payload: reading(await newMeter()) });
    running.send('keys', { operation: 'revoke', payload: { meter_id: 'NOBODY' } });
    await new Promise((resolve) => setImmediate(resolve));
    for (const output of ['valid', 'rejected', 'result', 'refused'])
      assert.equal(running.received(output).length, 0, output);
  });
});

function reading(meter_id: string): object {
  return { meter_id, kwh_amount: 1.25, reading_timestamp: time };
}

async function one(running: RunningFlow, output: string): Promise<FlowMessage> {
  await eventually(() => running.received(output).length > 0);
  return running.received(output)[0] ?? {};
}

import assert from 'node:assert/strict';
import { backendAccount, ensureAccount } from '../../src/devices/accounts.js';
import { mockPrefix } from '../../src/devices/mock-id.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow, type RunningFlow } from './flow.js';

const caller = { name: 'test', address: null };
const login = {
  mqtt: { user: 'backend', password: 'secret of backend' },
};

describe('mock-device', () => {
  let test: TestDatabase;
  let registry: Registry;
  beforeEach(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    await ensureAccount(test.database, backendAccount, login.mqtt.password, caller);
  });
  afterEach(async () => {
    await stopFlow();
    await test.drop();
  });

  async function start(more: object = {}, keyring: object[] = []): Promise<RunningFlow> {
    const port = String(await freePort());
    return startFlow(
      [
        { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '6' },
        { id: 'mqtt', type: 'meter-mqtt', host: '', embeddedHost: '127.0.0.1', port, tls: '', clientId: '' },
        ...(keyring as { id: string; type: string }[]),
        {
          id: 'broker',
          type: 'meter-auth-broker',
          database: 'db',
          host: '127.0.0.1',
          port,
          wires: [['validator'], ['messages'], []],
        },
        {
          id: 'validator',
          type: 'reading-validator',
          ...(keyring.length > 0 ? { keyring: 'keys' } : {}),
          wires: [['store'], ['refused']],
        },
        { id: 'store', type: 'reading-store', database: 'db', wires: [[], [], ['refused']] },
        { id: 'messages', type: 'message-store', database: 'db', wires: [['kept']] },
        {
          id: 'publisher',
          type: 'device-event-publisher',
          database: 'db',
          mqtt: 'mqtt',
          instance: 'left',
          wires: [[], []],
        },
        {
          id: 'mocks',
          type: 'mock-device',
          database: 'db',
          mqtt: 'mqtt',
          keyring: keyring.length > 0 ? 'keys' : '',
          enabled: 'on',
          instance: 'right',
          seed: '1',
          telemetrySeconds: '1',
          wires: [['created'], ['updated'], ['deleted'], ['telemetry']],
          ...more,
        },
        { id: 'catch', type: 'catch', scope: null, wires: [['errors']] },
        ...['kept', 'refused', 'created', 'updated', 'deleted', 'telemetry', 'errors'].map((id) => ({
          id,
          type: 'helper',
        })),
      ],
      // Those of a node that is not there would be taken from the later tests, too.
      keyring.length > 0 ? { ...login, keys: { masterKey: '7'.repeat(64) } } : login,
    );
  }

  it('plays what the publisher beside it tells, and says what it did through named outputs', async () => {
    const flow = await start();
    const { device } = await registry.create({ type: 'industrial', name: 'Mill' }, caller);
    const payload = { id: mockPrefix + device.id, real_id: device.id };
    await eventually(() =>
      assert.deepEqual(
        flow.received('created').map((message) => message.payload),
        [payload],
      ),
    );
    await eventually(() => {
      const [measured] = (flow.received('telemetry').at(-1)?.payload ?? []) as Record<string, unknown>[];
      assert.deepEqual(
        [measured?.['id'], measured?.['name'], measured?.['type'], measured?.['online']],
        [payload.id, 'Mill (mock)', 'industrial', true],
      );
    });
    await eventually(() => assert.match(flow.status('mocks').text ?? '', /^1 mock · \d+\.\d kW$/));
    await eventually(() => assert.ok(flow.received('kept').length > 0));
    await registry.update(device.id, { name: 'Saw' }, caller);
    await eventually(() =>
      assert.deepEqual(
        flow.received('updated').map((message) => message.payload),
        [payload],
      ),
    );
    await registry.remove(device.id, caller);
    await eventually(() =>
      assert.deepEqual(
        flow.received('deleted').map((message) => message.payload),
        [payload],
      ),
    );
    await eventually(() => assert.equal(flow.status('mocks').text, '0 mocks · 0.0 kW'));
  });

  it('takes events as messages; one that is none is an error of its message', async () => {
    const flow = await start();
    const event = {
      event_type: 'device.created',
      device_id: 'theirs',
      timestamp: '2026-11-20T12:00:00Z',
      device_data: { name: null, type: 'sensor' },
    };
    flow.send('mocks', { payload: [event, { ...event, device_id: 'theirs-too' }] });
    await eventually(() => assert.equal(flow.received('created').length, 2));
    flow.send('mocks', { payload: { ...event, device_id: 7 } });
    await eventually(() => assert.equal(flow.received('errors').length, 1));
    const errors = flow.received('errors').map(({ error }) => (error as { code?: string }).code);
    assert.deepEqual(errors, ['SCHEMA_INVALID']);
  });

  it('is off, and makes nothing, when its switch is off', async () => {
    await registry.create({ type: 'hvac' }, caller);
    const flow = await start({ enabled: 'off' });
    flow.send('mocks', { payload: {} });
    const { rows } = await test.database.query({ text: 'select from devices where mock' });
    assert.equal(rows.length, 0);
    await flow.deploy('nodes', { mocks: { enabled: 'on' } });
    await eventually(() => assert.equal(flow.received('created').length, 1));
  });

  it('goes on after a Deploy with the same mocks, and their registers do not jump', async () => {
    const flow = await start();
    const { device } = await registry.create({ type: 'server' }, caller);
    const measured = (): { energy_kwh: number; online: boolean } | undefined =>
      (
        flow.received('telemetry').at(-1)?.payload as { energy_kwh: number; online: boolean }[] | undefined
      )?.[0];
    await eventually(() => assert.equal(measured()?.online, true));
    const before = measured()?.energy_kwh ?? 0;
    await flow.deploy('nodes', { mocks: { telemetrySeconds: '2' } });
    const count = flow.received('telemetry').length;
    await eventually(() => assert.ok(flow.received('telemetry').length > count + 1 && measured()?.online));
    const grown = (measured()?.energy_kwh ?? 0) - before;
    assert.ok(grown > 0 && grown < (45 / 3600) * 30, `${grown} kWh within seconds`);
    assert.equal(flow.received('created').length, 1, 'it is not made again');
    assert.equal(flow.received('created')[0]?.topic, 'mock.created');
    assert.ok(device.id);
  });

  for (const method of ['hmac', 'ed25519'] as const)
    it(`signs the readings of meters by ${method} when every device must`, async () => {
      const { device } = await registry.create({ type: 'meter', meter_id: 'M1' }, caller);
      // Born an hour ago: four quarters are due at once.
      const keys = { id: 'keys', type: 'meter-keyring', database: 'db', authMethod: method };
      await test.database.query({
        text: `insert into mock_devices (real_id, in_registry, born_at, state_at)
               values ($1, true, now() - interval '1 hour', now() - interval '1 hour')`,
        values: [device.id],
      });
      const flow = await start({}, [keys]);
      await eventually(async () => {
        const text = 'select kwh_amount from meter_readings where meter_id = $1';
        const { rows } = await test.database.query({ text, values: [mockPrefix + device.id] });
        assert.ok(rows.length >= 4, `${rows.length} readings: ${flow.status('mocks').text}`);
      });
      assert.deepEqual(flow.received('refused'), []);
    });

  it('says that mocks have no certificates when devices must show one', async () => {
    const flow = await start({}, [{ id: 'keys', type: 'meter-keyring', database: 'db', authMethod: 'mtls' }]);
    await flow.deploy('nodes', { mocks: { seed: '2' } });
    await eventually(() => assert.match(flow.status('mocks').text ?? '', /certificates/));
  });
});

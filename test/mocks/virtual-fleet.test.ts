import assert from 'node:assert/strict';
import { createDeviceKeys } from '../../src/devices/keys/device-keys.js';
import { createKeyring } from '../../src/devices/keys/keyring.js';
import { masterKey } from '../../src/devices/keys/master-key.js';
import { createDirectory, type Directory } from '../../src/devices/principals.js';
import { createRegistry } from '../../src/devices/registry.js';
import {
  createVirtualFleet,
  type VirtualFleet,
  type VirtualFleetOptions,
} from '../../src/mocks/virtual-fleet.js';
import { isRejection, type Reading } from '../../src/readings/reading.js';
import { createValidator } from '../../src/readings/validate.js';
import { createVerifier } from '../../src/readings/verify.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

describe('A virtual fleet', () => {
  let test: TestDatabase;
  let directory: Directory;
  let broker: TestBroker;
  let fleet: VirtualFleet;

  beforeEach(async () => {
    test = await createTestDatabase();
    directory = createDirectory(test.database);
    broker = await startTestBroker({}, { directory });
    broker.sink.settling = true;
    fleet = fleetOf({});
  });
  afterEach(async () => {
    await fleet.stop();
    await broker.broker.close({ drainMs: 0 });
    await directory.close();
    await test.drop();
  });

  function fleetOf(options: Partial<VirtualFleetOptions>): VirtualFleet {
    const registry = createRegistry(test.database);
    const mqtt = { host: '127.0.0.1', port: broker.port };
    const fixed = { count: 3, prefix: 'DEMO', seed: 1, backfillHours: 1, telemetrySeconds: 0 };
    return createVirtualFleet({ ...fixed, registry, mqtt, ...options });
  }

  async function devices(): Promise<Record<string, unknown>[]> {
    const text = 'select meter_id, drn, type, name, mock from devices order by meter_id';
    return (await test.database.query<Record<string, unknown>>({ text })).rows;
  }

  it('registers its meters as ordinary devices, the first with a DRN, and connects each with its own credentials', async () => {
    await fleet.start();
    await eventually(() => assert.deepEqual([fleet.state.online, fleet.state.acknowledged], [3, 12]));
    const rows = await devices();
    assert.deepEqual(
      rows.map(({ meter_id, drn, type, mock }) => [meter_id, drn, type, mock]),
      [
        ['DEMO-01', '09000030529', 'meter', false],
        ['DEMO-02', null, 'meter', false],
        ['DEMO-03', null, 'meter', false],
      ],
    );
    assert.ok(rows.every(({ name }) => typeof name === 'string' && name !== ''));
    assert.deepEqual(
      broker.sink
        .of('connected')
        .map(({ client_id }) => client_id)
        .sort(),
      ['DEMO-01', 'DEMO-02', 'DEMO-03'],
    );
  });

  it('takes over the same devices with fresh passwords at the next start', async () => {
    await fleet.start();
    await eventually(() => assert.equal(fleet.state.online, 3));
    await fleet.stop();
    const before = await devices();
    fleet = fleetOf({});
    await fleet.start();
    await eventually(() => assert.equal(fleet.state.online, 3));
    assert.deepEqual(await devices(), before);
  });

  it('does without the DRN when another device has it', async () => {
    const registry = createRegistry(test.database);
    await registry.create({ type: 'meter', meter_id: 'REAL', drn: '09000030529' }, { name: 'test' });
    await fleet.start();
    assert.deepEqual(
      (await devices()).map(({ meter_id, drn }) => [meter_id, drn]),
      [
        ['DEMO-01', null],
        ['DEMO-02', null],
        ['DEMO-03', null],
        ['REAL', '09000030529'],
      ],
    );
  });

  it('signs with two of six meters when it has keys: what the verifier takes, also after a restart', async () => {
    const master = masterKey('11'.repeat(32));
    const keys = createDeviceKeys(test.database, master);
    const keyring = createKeyring(test.database, master);
    const verifier = createVerifier(keyring);
    const validator = createValidator();
    for (const turn of [1, 2]) {
      broker.sink.deliveries.length = 0;
      fleet = fleetOf({ count: 6, keys });
      await fleet.start();
      await eventually(() => assert.equal(fleet.state.acknowledged, 24));
      const readings = broker.sink.deliveries.map(({ payload }) =>
        validator.validateOne(JSON.parse(String(payload)) as object, {
          source: 'mqtt',
          received_at: Date.now(),
        }),
      );
      const valid = readings.filter((one): one is Reading => !isRejection(one));
      const signing = new Set(
        valid.filter(({ signature }) => typeof signature === 'string').map((one) => one.meter_id),
      );
      assert.deepEqual([...signing].sort(), ['DEMO-05', 'DEMO-06']);
      const verdicts = await verifier.verify(valid, { signal: new AbortController().signal });
      assert.deepEqual([verdicts.valid.length, verdicts.rejected], [24, []], `start ${turn}`);
      await fleet.stop();
    }
    await verifier.close();
    await keyring.close();
  });

  it('hands a command to the meter that it is for, and knows no others', async () => {
    await fleet.start();
    await eventually(() => assert.equal(fleet.state.online, 3));
    await fleet.command('DEMO-02', 'cut');
    assert.deepEqual(
      fleet.meters.map(({ cut }) => cut),
      [false, true, false],
    );
    assert.deepEqual([fleet.state.online, fleet.state.reason], [2, 'network cut']);
    await assert.rejects(fleet.command('DEMO-09', 'cut'), { code: 'METER_UNKNOWN' });
  });

  it('tells listeners what each meter does, and is silent after stop', async () => {
    const seen = new Set<string>();
    fleet.onState((meter) => seen.add(`${meter.meter_id} ${meter.connection}`));
    await fleet.start();
    await eventually(() => assert.equal(fleet.state.acknowledged, 12));
    await fleet.stop();
    assert.ok(seen.has('DEMO-02 online') && seen.has('DEMO-02 stopped'));
    assert.equal(fleet.state.meters, 0);
  });
});

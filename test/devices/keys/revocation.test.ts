import assert from 'node:assert/strict';
import mqtt, { type MqttClient } from 'mqtt';
import { startBroker, type Broker } from '../../../src/broker/broker.js';
import { createDeviceKeys, type DeviceKeys } from '../../../src/devices/keys/device-keys.js';
import { masterKey } from '../../../src/devices/keys/master-key.js';
import { createDirectory, type Directory } from '../../../src/devices/principals.js';
import { createRegistry } from '../../../src/devices/registry.js';
import { openDatabase, type Database } from '../../../src/database/database.js';
import { KeepingSink } from '../../support/broker.js';
import { createAdmin, createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';

const caller = { name: 'test' };

interface Instance {
  readonly database: Database;
  readonly directory: Directory;
  readonly broker: Broker;
}

/** [H-4]: several instances on one database, each with its own connections and its own sessions. */
describe('a revoked device', () => {
  let test: TestDatabase;
  let keys: DeviceKeys;
  const instances: Instance[] = [];
  const clients: MqttClient[] = [];
  before(async () => {
    test = await createTestDatabase();
    keys = createDeviceKeys(test.database, masterKey('11'.repeat(32)));
    for (let number = 0; number < 3; number++) {
      const database = openDatabase({ url: test.url, connectionsMax: 2 });
      const directory = createDirectory(database);
      const broker = await startBroker({ host: '127.0.0.1', port: 0, directory, sink: new KeepingSink() });
      instances.push({ database, directory, broker });
    }
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.endAsync(true)));
    for (const { broker, directory, database } of instances) {
      await broker.close({ drainMs: 0 });
      await directory.close();
      await database.close();
    }
    await test.drop();
  });

  async function newMeter(meter_id: string): Promise<string> {
    const { mqtt_password } = await createRegistry(test.database).create({ type: 'meter', meter_id }, caller);
    await keys.register({ meter_id, algorithm: 'hmac-sha256' }, caller);
    return mqtt_password;
  }

  function connect({ broker }: Instance, user: string, password: string): Promise<MqttClient> {
    const url = `mqtt://127.0.0.1:${broker.ports.mqtt}`;
    return mqtt
      .connectAsync(url, {
        username: user,
        password,
        clientId: user,
        reconnectPeriod: 0,
        connectTimeout: 5_000,
      })
      .then((client) => {
        client.on('error', () => undefined);
        clients.push(client);
        return client;
      });
  }

  it('loses its sessions on every instance within a second, and is refused after that', async () => {
    const password = await newMeter('R1');
    const other = await newMeter('R2');
    const sessions = await Promise.all(instances.map((instance) => connect(instance, 'R1', password)));
    const [first] = instances;
    assert.ok(first);
    const neighbour = await connect(first, 'R2', other);
    await keys.revoke('R1', caller);
    await eventually(() => sessions.every(({ connected }) => !connected), { timeoutMs: 1_000 });
    for (const instance of instances) await assert.rejects(connect(instance, 'R1', password), { code: 5 });
    assert.equal(neighbour.connected, true);
  });

  it('loses them also when the instances had to connect to the database anew', async () => {
    const password = await newMeter('R3');
    const sessions = await Promise.all(instances.map((instance) => connect(instance, 'R3', password)));
    const admin = createAdmin();
    await admin.query({
      text: 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
      values: [new URL(test.url).pathname.slice(1)],
    });
    await admin.close();
    for (const { database } of instances) await database.ready(10_000);
    await test.database.ready(10_000);
    assert.ok(sessions.every(({ connected }) => connected));
    await keys.revoke('R3', caller);
    await eventually(() => sessions.every(({ connected }) => !connected), { timeoutMs: 1_000 });
  });

  it('keeps its session through a rotation of its password, until the grace is over for new ones', async () => {
    const password = await newMeter('R4');
    const [first] = instances;
    assert.ok(first);
    const session = await connect(first, 'R4', password);
    const { mqtt_password = '' } = await keys.rotate('R4', { password: true, grace_seconds: 1 }, caller);
    await eventually(() => connect(first, 'R4', mqtt_password).then(() => true));
    await eventually(() => assert.rejects(connect(first, 'R4', password), { code: 5 }));
    await session.endAsync(true);
  });
});

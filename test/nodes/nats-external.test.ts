import { strict as assert } from 'node:assert';
import { connectAsync } from 'mqtt';
import { createRegistry } from '../../src/devices/registry.js';
import { closeForwarder } from '../../src/forward/runtime.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';
import { startNats, storedIn, type TestNats } from '../support/nats.js';
import { startFlow, stopFlow } from './flow.js';

describe('nats-forward behind a broker of somebody else’s', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let mosquitto: Mosquitto;
  let nats: TestNats;
  let id = '';

  before(async () => {
    test = await createTestDatabase();
    mosquitto = await startMosquitto();
    nats = await startNats();
    const created = await createRegistry(test.database).create(
      { type: 'meter', meter_id: 'METER001' },
      { name: 'test', address: null },
    );
    ({ id } = created.device);
  });
  after(async () => {
    await stopFlow();
    await closeForwarder();
    await mosquitto.remove();
    await nats.remove();
    await test.drop();
  });

  it('has all that is accepted, in its order, over a fall of Mosquitto and one of NATS; nothing of a stranger', async () => {
    await startFlow([
      { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
      {
        id: 'mqtt',
        type: 'meter-mqtt',
        host: '127.0.0.1',
        port: String(mosquitto.port),
        clientId: 'nats-test',
      },
      {
        id: 'inbound',
        type: 'meter-inbound',
        database: 'db',
        mqtt: 'mqtt',
        group: '',
        wires: [['validator'], ['messages'], ['quarantine']],
      },
      { id: 'validator', type: 'reading-validator', wires: [['store'], ['quarantine']] },
      {
        id: 'store',
        type: 'reading-store',
        database: 'db',
        spacingSeconds: '0',
        wires: [[], [], ['quarantine']],
      },
      { id: 'messages', type: 'message-store', database: 'db', wires: [[]] },
      { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [[]] },
      { id: 'nats', type: 'nats-forward', database: 'db', url: nats.url, instance: 'one', wires: [[], []] },
    ]);
    const payloads: string[] = [];
    const publish = async (count: number): Promise<void> => {
      const client = await eventually(() =>
        connectAsync({ host: '127.0.0.1', port: mosquitto.port, reconnectPeriod: 0 }),
      );
      for (let index = 0; index < count; index++) {
        const time = Date.now() - 3_600_000 + payloads.length;
        const payload =
          payloads.length % 2 === 0
            ? JSON.stringify({ kwh_amount: 0.25, reading_timestamp: time })
            : `other ${payloads.length}`;
        payloads.push(payload);
        const topic = isReading(payload) ? 'meters/METER001/readings' : `devices/${id}/log`;
        await client.publishAsync(topic, payload, { qos: 1 });
      }
      await client.publishAsync('meters/STRANGER/readings', '{"kwh_amount":1}', { qos: 1 });
      await client.endAsync();
    };
    // From its subscription on.
    const isThere = async (): Promise<boolean> => {
      await publish(2);
      return (await storedIn(nats)).length > 0;
    };
    await eventually(isThere, { intervalMs: 200 });
    const begun = (await storedIn(nats))[0]?.payload.toString() ?? '';
    await publish(100);
    await nats.stop('SIGKILL');
    await publish(100);
    await mosquitto.stop();
    await mosquitto.start();
    await publish(100);
    await nats.start();
    const expected = payloads.slice(payloads.indexOf(begun));
    const inStream = async (): Promise<string[]> =>
      (await storedIn(nats)).map(({ payload }) => payload.toString());
    await eventually(async () => assert.deepEqual([...new Set(await inStream())], expected), {
      timeoutMs: 20_000,
      intervalMs: 200,
    });
    // What Mosquitto sent again after its fall the tables have twice, too; readings count once.
    const { rows } = await test.database.query<{ payload: Buffer }>({
      text: 'select payload from device_messages',
    });
    const accepted = rows.map(({ payload }) => payload.toString()).concat(expected.filter(isReading));
    const afterBegin = accepted.filter((payload) => expected.includes(payload));
    assert.deepEqual((await inStream()).sort(), afterBegin.sort());
  });
});

function isReading(payload: string): boolean {
  return payload.startsWith('{');
}

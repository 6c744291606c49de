import { strict as assert } from 'node:assert';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { createRegistry } from '../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow } from './flow.js';

describe('meter-auth-broker in a flow', () => {
  let test: TestDatabase;
  let port: number;
  let password: string;
  let clients: MqttClient[] = [];

  before(async () => {
    test = await createTestDatabase();
    const created = await createRegistry(test.database).create(
      { type: 'meter', meter_id: 'METER001' },
      { name: 'test', address: null },
    );
    password = created.mqtt_password;
  });
  after(() => test.drop());
  beforeEach(async () => {
    port = await freePort();
  });
  afterEach(async () => {
    await Promise.all(clients.map((client) => client.endAsync(true)));
    clients = [];
    await stopFlow();
  });

  const flow = (broker: object = {}): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      externalHost: '${NOT_SET}',
      packetBytesMax: '',
      ratePerSecond: '${NOT_SET}',
      burst: '',
      subscriptionsMax: '',
      inflightMax: '20000',
      inflightMegabytesMax: '64',
      flowDeadlineSeconds: '1',
      wires: [['validator'], ['messages'], ['presence', 'sessions']],
      ...broker,
    },
    { id: 'validator', type: 'reading-validator', schema: '', wires: [['store'], ['quarantine']] },
    { id: 'store', type: 'reading-store', database: 'db', wires: [['stored'], [], ['quarantine']] },
    { id: 'messages', type: 'message-store', database: 'db', wires: [['kept']] },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [[]] },
    { id: 'presence', type: 'device-presence', database: 'db', instance: 'test', wires: [[]] },
    { id: 'stored', type: 'helper' },
    { id: 'kept', type: 'helper' },
    { id: 'sessions', type: 'helper' },
  ];

  async function connect(options: IClientOptions = {}): Promise<MqttClient> {
    const client = await eventually(() =>
      connectAsync({
        host: '127.0.0.1',
        port,
        username: 'METER001',
        password,
        clientId: 'METER001',
        clean: false,
        reconnectPeriod: 50,
        ...options,
      }),
    );
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }
  async function count(
    table: 'meter_readings' | 'quarantined_messages' | 'device_messages',
  ): Promise<number> {
    const { rows } = await test.database.query<{ n: string }>({ text: `select count(*) as n from ${table}` });
    return Number(rows[0]?.n);
  }

  it('a PUBACK means committed: stored or quarantined, also for each part of an array [M-13]', async () => {
    await startFlow(flow());
    const client = await connect();
    await client.publishAsync('meters/METER001/readings', JSON.stringify(reading(60)), { qos: 1 });
    assert.equal(await count('meter_readings'), 1);
    const many = [reading(600), reading(580), reading(579), reading(560, 999)];
    await client.publishAsync('meters/METER001/readings', JSON.stringify(many), { qos: 1 });
    assert.equal(await count('meter_readings'), 3);
    assert.equal(await count('quarantined_messages'), 2);
    await client.publishAsync('meters/METER001/readings', '{', { qos: 1 });
    assert.equal(await count('quarantined_messages'), 3);
  });

  it('messages of QoS 1 are kept before their PUBACK, those of QoS 0 pass through', async () => {
    const running = await startFlow(flow());
    const client = await connect();
    await client.publishAsync('smartmeter/METER001/status', '{"status":"online"}', { qos: 1 });
    assert.equal(await count('device_messages'), 1);
    await client.publishAsync('devices/METER001/telemetry', '{}', { qos: 0 }).catch(() => undefined);
    await eventually(() => running.received('kept').length >= 1);
  });

  it('shows port, clients, rate and what is in flight, and records who is online', async () => {
    const running = await startFlow(flow());
    await connect();
    await eventually(() => {
      const { fill, text } = running.status('broker');
      assert.equal(fill, 'green');
      assert.match(text ?? '', new RegExp(`^${port} · 1 client · \\d+/s · 0 in flight`));
    });
    await eventually(async () => {
      const { online } = await createRegistry(test.database).get('METER001');
      assert.equal(online, true);
    });
  });

  it('a wrong password is refused and told on sessions, with the address and the reason', async () => {
    const running = await startFlow(flow());
    await connect();
    await assert.rejects(
      connectAsync({ host: '127.0.0.1', port, username: 'METER001', password: 'wrong', reconnectPeriod: 0 }),
      { code: 5 },
    );
    await eventually(() => {
      const events = running.received('sessions').flatMap(({ payload }) => payload as { event: string }[]);
      assert.ok(events.some(({ event }) => event === 'refused'));
    });
  });

  it('a redeploy keeps the meters’ connections and serves them with the new flow', async () => {
    const running = await startFlow(flow());
    const client = await connect();
    let closed = 0;
    client.on('close', () => (closed += 1));
    await running.redeploy();
    await client.publishAsync('meters/METER001/readings', JSON.stringify(reading(1200)), { qos: 1 });
    assert.equal(closed, 0);
    await eventually(() => running.received('stored').length > 0);
  });

  it('a message that no store settles comes back twice and then lies in quarantine', async () => {
    const before = await count('quarantined_messages');
    await startFlow(flow({ wires: [[], [], ['sessions']] }));
    const client = await connect();
    await client.publishAsync('meters/METER001/readings', JSON.stringify(reading(2000)), { qos: 1 });
    assert.equal(await count('quarantined_messages'), before + 1);
    const { rows } = await test.database.query<{ code: string }>({
      text: `select code from quarantined_messages order by id desc limit 1`,
    });
    assert.equal(rows[0]?.code, 'FLOW_UNSETTLED');
  });

  it('stays off while an external broker is named, and says so', async () => {
    const running = await startFlow(flow({ externalHost: 'mqtt.example' }));
    await running.redeploy();
    await eventually(() => running.status('broker').text === 'off: MQTT_BROKER_HOST is mqtt.example').catch(
      () => assert.fail(JSON.stringify(running.status('broker'))),
    );
  });

  it('a busy port is one red sentence, and the other nodes run on', async () => {
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    try {
      const running = await startFlow(flow());
      await eventually(() => {
        assert.equal(running.status('broker').fill, 'red');
        assert.match(running.status('broker').text ?? '', new RegExp(String(port)));
      });
      await eventually(() => running.status('store').fill === 'green');
    } finally {
      other.close();
    }
  });
});

function reading(ageMinutes: number, kwh_amount = 1.25): object {
  return { kwh_amount, reading_timestamp: new Date(Date.now() - ageMinutes * 60_000).toISOString() };
}

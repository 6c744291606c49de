import { strict as assert } from 'node:assert';
import { connectAsync } from 'mqtt';
import { deliveries } from '../../src/broker/deliveries.js';
import type { SessionEvent } from '../../src/broker/delivery.js';
import { createRegistry } from '../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';
import { startFlow, stopFlow } from './flow.js';

const caller = { name: 'test' };

describe('The inbound node', function () {
  this.timeout(30_000);
  let test: TestDatabase;
  let mosquitto: Mosquitto;
  let password = '';

  before(async () => {
    test = await createTestDatabase();
    mosquitto = await startMosquitto();
    ({ mqtt_password: password } = await createRegistry(test.database).create(
      { type: 'meter', meter_id: 'METER001' },
      caller,
    ));
  });
  afterEach(stopFlow);
  after(async () => {
    await mosquitto.remove();
    await test.drop();
  });

  const flow = (host: string, flowDeadlineSeconds = '') => [
    { id: 'database', type: 'meter-database', url: test.url, connectionsMax: '4' },
    { id: 'mqtt', type: 'meter-mqtt', host, port: String(mosquitto.port), clientId: 'node-test' },
    {
      id: 'inbound',
      type: 'meter-inbound',
      database: 'database',
      mqtt: 'mqtt',
      group: 'nodes',
      inflightMax: '',
      flowDeadlineSeconds,
      sessionHours: '',
      wires: [['readings', 'validator'], ['messages', 'messageStore'], ['quarantine']],
    },
    { id: 'validator', type: 'reading-validator', wires: [['store'], ['quarantine']] },
    {
      id: 'store',
      type: 'reading-store',
      database: 'database',
      batchMax: '',
      lanes: '',
      spacingSeconds: '0',
      wires: [['stored'], ['stored'], ['quarantine']],
    },
    { id: 'messageStore', type: 'message-store', database: 'database', wires: [['kept']] },
    { id: 'quarantine', type: 'message-quarantine', database: 'database', wires: [['quarantined']] },
    ...['readings', 'messages', 'stored', 'kept', 'quarantined'].map((id) => ({ id, type: 'helper' })),
  ];

  async function publish(topic: string, payload: object): Promise<void> {
    const client = await connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`);
    await client.publishAsync(topic, JSON.stringify(payload), { qos: 1 });
    await client.endAsync();
  }

  async function quarantined(): Promise<number> {
    const { rows } = await test.database.query<{ count: number }>({
      text: 'select count(*)::int as count from quarantined_messages',
    });
    return rows[0]?.count ?? 0;
  }

  const reading = (minutesAgo: number): object => ({
    kwh_amount: 1.25,
    reading_timestamp: Date.now() - minutesAgo * 60_000,
  });

  it('feeds the same nodes as the embedded broker, also after a redeploy', async () => {
    const running = await startFlow(flow('127.0.0.1'));
    await eventually(() => {
      assert.equal(running.status('inbound').fill, 'green');
      assert.match(
        running.status('inbound').text ?? '',
        /^127\.0\.0\.1:\d+ · shared · \d+\/s · 0 in flight$/,
      );
    });
    await publish('meters/METER001/readings', reading(1));
    await publish('smartmeter/METER001/consumption', {});
    await publish('meters/NOBODY/readings', reading(1));
    await eventually(() => {
      for (const end of ['stored', 'kept', 'quarantined']) assert.equal(running.received(end).length, 1, end);
    });
    const { rows } = await test.database.query<{ code: string; topic: string }>({
      text: 'select code, topic from quarantined_messages',
    });
    assert.deepEqual(rows, [{ code: 'METER_UNKNOWN', topic: 'meters/NOBODY/readings' }]);
    await running.redeploy();
    await publish('meters/METER001/readings', reading(30));
    await eventually(() => running.received('stored').length === 2);
  });

  it('loses nothing, asks for nothing twice and doubles nothing when a Deploy exchanges the nodes behind it', async () => {
    const givenUp = deliveries.stats().givenUp;
    const before = await quarantined();
    const nodes = flow('127.0.0.1', '1');
    const running = await startFlow([...nodes, { id: 'slow', type: 'slow-to-close' }]);
    const stored = () =>
      new Set(
        running
          .received('stored')
          .flatMap(({ payload }) => (payload as { time: number }[]).map(({ time }) => time)),
      ).size;
    const client = await connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`);
    await eventually(() => running.status('inbound').fill === 'green');
    let sent = 0;
    const sending = setInterval(() => {
      sent += 1;
      const topic = sent % 5 === 0 ? 'meters/NOBODY/readings' : 'meters/METER001/readings';
      client.publish(topic, JSON.stringify(reading(60 + sent)), { qos: 1 });
    }, 5);
    try {
      for (const turn of [1, 2, 3]) {
        const info = `turn ${turn}`;
        const seen = stored();
        await eventually(() => stored() > seen);
        await running.deploy('nodes', { store: { info }, quarantine: { info }, slow: { info } });
      }
    } finally {
      clearInterval(sending);
    }
    const unknown = Math.floor(sent / 5);
    await eventually(() => assert.equal(stored(), sent - unknown));
    await eventually(async () => assert.equal((await quarantined()) - before, unknown));
    assert.equal(deliveries.stats().givenUp, givenUp);
    await client.endAsync();
  });

  it('is off, and says so, while no broker is named', async () => {
    const running = await startFlow(flow('${MQTT_BROKER_HOST}'));
    await running.redeploy();
    await eventually(() => running.status('inbound').text?.startsWith('off: the embedded broker is used'));
  });

  it('shows why it is not connected, and when it tries again', async () => {
    await mosquitto.stop();
    try {
      const running = await startFlow(flow('127.0.0.1'));
      await eventually(() => {
        assert.equal(running.status('inbound').fill, 'red');
        assert.match(running.status('inbound').text ?? '', /ECONNREFUSED.* · again in \d+ s$/);
      });
      await mosquitto.start();
      await eventually(() => running.status('inbound').fill === 'green');
    } finally {
      await mosquitto.start();
    }
  });

  it('the authority beside it answers by output', async () => {
    const running = await startFlow([
      { id: 'database', type: 'meter-database', url: test.url, connectionsMax: '4' },
      {
        id: 'auth',
        type: 'mqtt-authority',
        database: 'database',
        operation: 'kind',
        operationType: 'msg',
        wires: [['allowed'], ['denied'], ['sessions']],
      },
      { id: 'allowed', type: 'helper' },
      { id: 'denied', type: 'helper' },
      { id: 'sessions', type: 'helper' },
    ]);
    running.send('auth', { kind: 'auth', payload: { username: 'METER001', password } });
    const asked = { username: 'METER001', clientid: 'METER001-2', peerhost: '10.0.0.7' };
    running.send('auth', { kind: 'acl', payload: { ...asked, topic: '#', action: 'subscribe' } });
    await eventually(
      () =>
        running.received('allowed').length === 1 &&
        running.received('denied').length === 1 &&
        running.received('sessions').length === 1,
    );
    assert.deepEqual(running.received('allowed')[0]?.payload, {
      result: 'allow',
      is_superuser: false,
      ok: true,
      error: '',
    });
    const denied = running.received('denied')[0];
    assert.equal(denied?.['reason'], 'subscribe denied');
    assert.deepEqual(denied.payload, { result: 'deny', is_superuser: false, ok: false, error: 'refused' });
    const [told] = running.received('sessions');
    assert.equal(told?.topic, 'sessions');
    const [{ at, device_id, ...event } = { at: 0, device_id: '' }] = told.payload as SessionEvent[];
    assert.ok(Date.now() - at < 30_000 && device_id);
    assert.deepEqual(event, {
      event: 'refused',
      kind: 'device',
      client_id: 'METER001-2',
      mqtt_user: 'METER001',
      meter_id: 'METER001',
      address: '10.0.0.7',
      reason: 'subscribe denied',
    });
  });
});

import assert from 'node:assert/strict';
import { connectAsync, type MqttClient } from 'mqtt';
import { backendAccount, demoAccount, ensureAccount } from '../../src/devices/accounts.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import type { DeviceEvent } from '../../src/events/device-event.js';
import { metrics } from '../../src/operation/metrics.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

const caller = { name: 'test', address: null };

describe('device-event-publisher in a flow', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let registry: Registry;
  let port: number;
  let client: MqttClient | undefined;
  const heard: DeviceEvent[] = [];
  beforeEach(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    await ensureAccount(test.database, backendAccount, 'secret', caller);
    await ensureAccount(test.database, demoAccount, 'iot123', caller);
    port = await freePort();
    heard.length = 0;
  });
  afterEach(async () => {
    await client?.endAsync(true);
    client = undefined;
    await stopFlow();
    await test.drop();
  });

  const nodes: () => Parameters<typeof startFlow>[0] = () => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '6' },
    { id: 'mqtt', type: 'meter-mqtt', embeddedHost: '127.0.0.1', port: String(port), clientId: 'backend' },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      wires: [[], [], []],
    },
    {
      id: 'publisher',
      type: 'device-event-publisher',
      database: 'db',
      mqtt: 'mqtt',
      instance: 'one',
      keepDays: '0',
      wires: [['published'], ['replayed']],
    },
    { id: 'list', type: 'device-event-list', database: 'db', wires: [['result'], ['refused']] },
    { id: 'catch', type: 'catch', scope: null, uncaught: false, wires: [['failed']] },
    ...['published', 'replayed', 'result', 'refused', 'failed'].map((id) => ({ id, type: 'helper' })),
  ];
  const start = () => startFlow(nodes(), { mqtt: { user: 'backend', password: 'secret' } });

  async function listen(): Promise<void> {
    client = await eventually(() =>
      connectAsync(`mqtt://127.0.0.1:${port}`, {
        username: 'iot_user',
        password: 'iot123',
        reconnectPeriod: 50,
      }),
    );
    client.on('message', (_topic, payload) => heard.push(JSON.parse(payload.toString()) as DeviceEvent));
    await client.subscribeAsync('energy/events/devices/#', { qos: 1 });
  }

  const published = (flow: RunningFlow) => flow.received('published');

  it('tells everybody what happens, and hands each event on [M-8]', async () => {
    const flow = await start();
    await listen();
    const before = await counted('device.created');
    const { device } = await registry.create({ type: 'lighting', name: 'Hall' }, caller);
    const [event] = await eventually(() => heard.length === 1 && heard);
    assert.equal(event?.device_data.name, 'Hall');
    const [message] = await eventually(() => published(flow).length === 1 && published(flow));
    assert.deepEqual(
      [message?.topic, message?.payload, message?.['qos'], message?.['retain']],
      [`energy/events/devices/${device.id}/device.created`, event, 1, false],
    );
    assert.equal((await counted('device.created')) - before, 1);
    await registry.update(device.id, { name: 'Cellar' }, caller);
    await eventually(() =>
      assert.match(flow.status('publisher').text ?? '', /^[12] events\/s( · 1 waiting)? · lag [\d,]+ ms$/),
    );
    await eventually(() => assert.equal(flow.status('publisher').text, '2 published'));
  });

  it('tells after the start what happened before it', async () => {
    const { device } = await registry.create({ type: 'lighting' }, caller);
    await registry.remove(device.id, caller);
    const flow = await start();
    await eventually(() => published(flow).length === 2);
    assert.deepEqual(
      published(flow).map(({ payload }) => (payload as DeviceEvent).event_type),
      ['device.created', 'device.deleted'],
    );
  });

  it('hands on every event once over a Deploy', async () => {
    const flow = await start();
    await listen();
    const names = Array.from({ length: 40 }, (_, index) => `Name ${index}`);
    const { device } = await registry.create({ type: 'lighting' }, caller);
    const changes = (async () => {
      for (const name of names) await registry.update(device.id, { name }, caller);
    })();
    await eventually(() => published(flow).length > 5);
    await flow.redeploy();
    await changes;
    await eventually(() => published(flow).length >= 41);
    const namesOf = (messages: readonly FlowMessage[]) =>
      messages.map(({ payload }) => (payload as DeviceEvent).device_data.name);
    assert.deepEqual(namesOf(published(flow)), [null, ...names]);
  });

  it('publishes again what a message asks for, and says how much that was', async () => {
    const flow = await start();
    await listen();
    for (const type of ['sensor', 'meter']) await registry.create({ type, meter_id: type }, caller);
    await eventually(() => published(flow).length === 2);
    flow.send('publisher', { topic: 'replay', payload: { from: 'beginning' }, mark: 7 });
    const [replayed] = await eventually(
      () => flow.received('replayed').length === 1 && flow.received('replayed'),
    );
    assert.deepEqual([replayed?.payload, replayed?.['mark']], [{ count: 2 }, 7]);
    assert.deepEqual(
      published(flow).map((message) => message['replayed'] === true),
      [false, false, true, true],
    );
    await eventually(() => assert.deepEqual(heard.slice(2), heard.slice(0, 2)));
    flow.send('publisher', { topic: 'replay', payload: { from: 'yesterday' } });
    const [failed] = await eventually(() => flow.received('failed').length === 1 && flow.received('failed'));
    assert.match(JSON.stringify(failed?.['error']), /SCHEMA_INVALID|must be RFC 3339/);
  });

  it('shows why events wait while the broker is away, and how many', async () => {
    const flow = await start();
    await flow.deploy('full', { mqtt: { port: String(await freePort()) } });
    for (const type of ['sensor', 'meter']) await registry.create({ type }, caller);
    await eventually(
      () => assert.match(flow.status('publisher').text ?? '', /^2 waiting · The broker at .* ECONNREFUSED/),
      { timeoutMs: 20_000 },
    );
    assert.equal(flow.status('publisher').fill, 'yellow');
    await flow.deploy('full', { mqtt: { port: String(port) } });
    await eventually(() => published(flow).length === 2);
  });

  it('lists the log, and refuses what is wrong', async () => {
    const flow = await start();
    await registry.create({ type: 'sensor', meter_id: 'S' }, caller);
    flow.send('list', { payload: { limit: 10 } });
    const [result] = await eventually(() => flow.received('result').length === 1 && flow.received('result'));
    assert.equal(result?.statusCode, 200);
    const page = result?.payload as { data: DeviceEvent[] } | undefined;
    assert.equal(page?.data[0]?.device_data.meter_id, 'S');
    flow.send('list', { payload: { limit: 0 } });
    const [refused] = await eventually(
      () => flow.received('refused').length === 1 && flow.received('refused'),
    );
    assert.equal(refused?.statusCode, 400);
  });
});

async function counted(type: string): Promise<number> {
  const { values } = await metrics.deviceEvents.get();
  return values.find(({ labels }) => labels.event_type === type)?.value ?? 0;
}

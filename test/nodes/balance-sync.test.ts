import { strict as assert } from 'node:assert';
import { connectAsync, type MqttClient } from 'mqtt';
import { backendAccount, ensureAccount } from '../../src/devices/accounts.js';
import { createRegistry } from '../../src/devices/registry.js';
import { balanceOf, credit, discrepancies, one } from '../balances/meters.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow, type FlowMessage } from './flow.js';

interface Command {
  readonly balance: number;
  readonly timestamp: number;
}

describe('balance-sync in a flow', () => {
  let test: TestDatabase;
  let port: number;
  let clients: MqttClient[] = [];
  const passwords = new Map<string, string>();

  before(async () => {
    test = await createTestDatabase();
    await ensureAccount(test.database, backendAccount, 'secret', { name: 'test', address: null });
    for (const meter_id of ['METER001', 'TEST001', 'METER003', 'METER004', 'METER005', 'METER006']) {
      const { mqtt_password } = await createRegistry(test.database).create(
        { type: 'meter', meter_id },
        { name: 'test', address: null },
      );
      passwords.set(meter_id, mqtt_password);
    }
  });
  after(() => test.drop());
  beforeEach(async () => {
    port = await freePort();
  });
  afterEach(async () => {
    await Promise.all(clients.map((client) => client.endAsync(true)));
    clients = [];
    await stopFlow();
    assert.equal(await discrepancies(test.database), 0);
  });

  const flow = (sync: object = {}): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '6' },
    { id: 'mqtt', type: 'meter-mqtt', embeddedHost: '127.0.0.1', port: String(port), clientId: 'backend' },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      flowDeadlineSeconds: '2',
      wires: [[], ['sync'], ['sync']],
    },
    {
      id: 'sync',
      type: 'balance-sync',
      database: 'db',
      mqtt: 'mqtt',
      instance: '${NOT_SET}',
      lowUnits: '${NOT_SET}',
      driftUnits: '${NOT_SET}',
      wires: [['applied'], ['duplicate'], ['quarantine'], ['messages'], ['sent'], ['confirmed'], ['drift']],
      ...sync,
    },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [['quarantined']] },
    { id: 'messages', type: 'message-store', database: 'db', wires: [['kept']] },
    ...['applied', 'duplicate', 'quarantined', 'kept', 'sent', 'confirmed', 'drift'].map((id) => ({
      id,
      type: 'helper',
    })),
  ];
  const start = (sync: object = {}) =>
    startFlow(flow(sync), { mqtt: { user: 'backend', password: 'secret' } });

  async function connect(meter: string): Promise<MqttClient> {
    const client = await eventually(() =>
      connectAsync({
        host: '127.0.0.1',
        port,
        username: meter,
        password: passwords.get(meter) ?? '',
        clientId: meter,
        clean: false,
        reconnectPeriod: 50,
      }),
    );
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }

  const consumption = (meterNo: string, more: object = {}) =>
    JSON.stringify({
      meterNo,
      unitsConsumed: 0.0048,
      remainingBalance: 5.2452,
      totalConsumed: 0.0048,
      ...more,
    });

  it('takes the original reports out of the ledger before their PUBACK [M-2], [M-13]', async () => {
    await start();
    const meter = await connect('METER001');
    await credit(test.database, 'METER001', 5.25);
    const topic = 'smartmeter/METER001/consumption';
    await meter.publishAsync(topic, consumption('METER001', { timestamp: 1_698_765_432_000 }), { qos: 1 });
    assert.equal(await balanceOf(test.database, 'METER001'), '5.2452');
    await meter.publishAsync(topic, consumption('METER001', { timestamp: 1_698_765_432_000 }), { qos: 1 });
    assert.equal(await balanceOf(test.database, 'METER001'), '5.2452');
    await credit(test.database, 'METER001', 5.2548);
    const second = { timestamp: 1_698_765_462_000, remainingBalance: 10.4952 };
    await meter.publishAsync(topic, consumption('METER001', second), { qos: 1 });
    assert.equal(await balanceOf(test.database, 'METER001'), '10.4952');
  });

  it('applies a report of three fields on any topic, as the original test sends it', async () => {
    const running = await start();
    running.send('sync', {
      topic: 'test/topic',
      payload: { meterNo: 'TEST001', unitsConsumed: 0.05, remainingBalance: 10.0 },
    });
    await eventually(() => itemsOf(running.received('applied')).length === 1);
    assert.equal(await balanceOf(test.database, 'TEST001'), '-0.0500');
    running.send('sync', { payload: { meterNo: 'NOBODY', unitsConsumed: 0.05, remainingBalance: 10.0 } });
    await eventually(() => itemsOf(running.received('quarantined')).length === 1);
    assert.equal(itemsOf(running.received('quarantined'))[0]?.['code'], 'METER_UNKNOWN');
  });

  it('leads a payment to the meter and back: told, confirmed, closed [M-6], [M-4]', async () => {
    const running = await start();
    const meter = await connect('METER003');
    const commands: Command[] = [];
    meter.on('message', (_topic, payload) => {
      const command = JSON.parse(payload.toString()) as Command;
      commands.push(command);
      meter.publish('smartmeter/METER003/balance', JSON.stringify({ meterNo: 'METER003', ...command }), {
        qos: 0,
      });
    });
    await meter.subscribeAsync('smartmeter/METER003/command/balance', { qos: 1 });
    await eventually(() => commands.at(-1)?.balance === 0, { timeoutMs: 5000 });
    await credit(test.database, 'METER003', 10.5);
    await eventually(() => commands.at(-1)?.balance === 10.5);
    await eventually(() => itemsOf(running.received('confirmed')).some(({ balance }) => balance === 10.5));
    assert.ok(itemsOf(running.received('sent')).some(({ balance }) => balance === 10.5));
    const { open } = await one<{ open: number }>(
      test.database,
      `select count(*)::int as open from outbox where done_at is null and subject = 'METER003'`,
    );
    assert.equal(open, 0);
  });

  it('hands on everything else, also what it acts on, and it is kept when acknowledged', async () => {
    const running = await start();
    const meter = await connect('METER004');
    const status = JSON.stringify({
      meterNo: 'METER004',
      status: 'low_balance',
      message: 'low',
      balance: 0.4,
    });
    await meter.publishAsync('smartmeter/METER004/status', status, { qos: 1 });
    await meter.publishAsync('meters/METER004/token/response', '{"status":"success"}', { qos: 1 });
    await meter.publishAsync('smartmeter/METER004/balance/request', '{}', { qos: 1 });
    const { rows } = await test.database.query<{ topic: string }>({
      text: `select topic from device_messages where meter_id = 'METER004' order by id`,
    });
    assert.deepEqual(
      rows.map(({ topic }) => topic),
      ['smartmeter/METER004/status', 'meters/METER004/token/response', 'smartmeter/METER004/balance/request'],
    );
    const { last_status: kept } = await one<{ last_status: { status: string } }>(
      test.database,
      `select last_status from devices where meter_id = 'METER004'`,
    );
    assert.equal(kept.status, 'low_balance');
    await eventually(() => itemsOf(running.received('sent')).some(({ reason }) => reason === 'request'));
    await eventually(() => itemsOf(running.received('kept')).length >= 3);
  });

  it('keeps what breaks a rule in quarantine with its reason, then acknowledges [M-14]', async () => {
    await start();
    const meter = await connect('METER005');
    const topic = 'smartmeter/METER005/consumption';
    const time = Date.now();
    await meter.publishAsync(topic, consumption('METER005', { timestamp: time }), { qos: 1 });
    for (const [payload, code] of [
      ['{"meterNo":', 'SCHEMA_INVALID'],
      [consumption('METER001'), 'METER_MISMATCH'],
      [consumption('METER005', { unitsConsumed: 101 }), 'CONSUMPTION_OUT_OF_RANGE'],
      [consumption('METER005', { timestamp: time, unitsConsumed: 1 }), 'CONSUMPTION_CONFLICT'],
      [consumption('METER005', { timestamp: time + 3_600_000 }), 'TIMESTAMP_OUT_OF_WINDOW'],
    ] as const) {
      await meter.publishAsync(topic, payload, { qos: 1 });
      const found = await one<{ code: string; payload: Buffer }>(
        test.database,
        'select code, payload from quarantined_messages order by id desc limit 1',
      );
      assert.deepEqual([found.code, found.payload.toString()], [code, payload]);
    }
    assert.equal(await balanceOf(test.database, 'METER005'), '-0.0048');
  });

  it('tells of a drift, and the meter of its true balance [P-6]', async () => {
    const running = await start();
    const meter = await connect('METER006');
    await credit(test.database, 'METER006', 2);
    const commands: Command[] = [];
    meter.on('message', (_topic, payload) => {
      const command = JSON.parse(payload.toString()) as Command;
      commands.push(command);
      meter.publish('smartmeter/METER006/balance', JSON.stringify({ meterNo: 'METER006', ...command }), {
        qos: 0,
      });
    });
    await meter.subscribeAsync('smartmeter/METER006/command/#', { qos: 1 });
    await eventually(() => commands.at(-1)?.balance === 2);
    await eventually(() => itemsOf(running.received('confirmed')).length > 0);
    const report = consumption('METER006', { timestamp: Date.now() + 1000, remainingBalance: 9 });
    await meter.publishAsync('smartmeter/METER006/consumption', report, { qos: 1 });
    await eventually(() => itemsOf(running.received('drift')).length === 1);
    assert.equal(itemsOf(running.received('drift'))[0]?.['difference'], 7.0048);
    await eventually(() => commands.at(-1)?.balance === 1.9952);
  });
});

function itemsOf(messages: readonly FlowMessage[]): Record<string, unknown>[] {
  return messages.flatMap(({ payload }) => payload as Record<string, unknown>[]);
}

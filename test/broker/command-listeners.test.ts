import assert from 'node:assert/strict';
import mqtt, { type MqttClient } from 'mqtt';
import { eventually } from '../support/eventually.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';

describe('The flow hears who listens to commands', () => {
  let test: TestBroker;
  const clients: MqttClient[] = [];
  before(async () => {
    test = await startTestBroker();
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.endAsync(true)));
    await test.broker.close();
  });

  async function connect(name: string): Promise<MqttClient> {
    const { id, user, password } = as(name);
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${test.port}`, {
      clientId: id,
      username: user,
      password,
    });
    clients.push(client);
    return client;
  }

  it('tells of a device’s subscription with its filter, after its connect', async () => {
    const meter = await connect('METER001');
    await meter.subscribeAsync('smartmeter/METER001/command/#', { qos: 1 });
    await eventually(() => test.sink.of('subscribed').length === 1);
    const [event] = test.sink.of('subscribed');
    assert.equal(event?.meter_id, 'METER001');
    assert.equal(event?.kind, 'device');
    assert.equal(event?.filter, 'smartmeter/METER001/command/#');
    const order = test.sink.events.map((one) => one.event);
    assert.ok(order.indexOf('connected') < order.indexOf('subscribed'));
  });

  it('does not tell of one that was refused, nor of an account’s', async () => {
    const before = test.sink.of('subscribed').length;
    const meter = await connect('METER002');
    await assert.rejects(meter.subscribeAsync('smartmeter/METER001/command/#', { qos: 1 }));
    const backend = await connect('backend');
    await backend.subscribeAsync('smartmeter/+/status', { qos: 0 });
    await meter.subscribeAsync('smartmeter/METER002/command/balance', { qos: 1 });
    await eventually(() => test.sink.of('subscribed').length > before);
    assert.deepEqual(
      test.sink
        .of('subscribed')
        .slice(before)
        .map(({ filter }) => filter),
      ['smartmeter/METER002/command/balance'],
    );
  });
});

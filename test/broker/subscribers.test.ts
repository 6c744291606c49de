import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import mqtt from 'mqtt';

import { deliveries } from '../../src/broker/deliveries.js';
import { type TestBroker, as, startTestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import {
  Wire,
  connack,
  connectPacket,
  puback,
  publishPacket,
  subscribePacket,
} from '../support/mqtt-wire.js';

const run = promisify(execFile);
const credentials = (user: string) => ['-u', user, '-P', `secret of ${user}`, '-i', user];

describe('Subscribers, with mqtt.js and the Mosquitto tools', () => {
  let test: TestBroker;
  let open: mqtt.MqttClient[] = [];

  beforeEach(async () => {
    test = await startTestBroker();
  });

  afterEach(async () => {
    await Promise.all(open.map((one) => one.endAsync(true)));
    open = [];
    await test.broker.close({ drainMs: 0 });
  });

  async function client(user: string, options: mqtt.IClientOptions = {}) {
    const one = await mqtt.connectAsync(`mqtt://127.0.0.1:${test.port}`, {
      clientId: user,
      username: user,
      password: `secret of ${user}`,
      reconnectPeriod: 0,
      ...options,
    });
    open.push(one);
    const received: { topic: string; text: string; retain: boolean; qos: number; dup: boolean }[] = [];
    one.on('message', (topic, payload, { retain, qos, dup }) =>
      received.push({ topic, text: payload.toString(), retain, qos, dup }),
    );
    one.on('error', () => {});
    return { one, received };
  }

  it('hear a device only after its message is accepted', async () => {
    const { one, received } = await client('backend');
    await one.subscribeAsync('meters/+/#', { qos: 1 });
    const meter = await client('METER001');
    const published = meter.one.publishAsync('meters/METER001/readings', '{"kwh_amount":1}', { qos: 1 });
    await eventually(() => test.sink.deliveries.length === 1);
    assert.equal(received.length, 0);
    test.sink.settleAll();
    await published;
    await eventually(() => received.length === 1);
    assert.equal(received[0]?.text, '{"kwh_amount":1}');
  });

  it('carry commands from a service account to the device', async () => {
    const meter = await client('METER001');
    await meter.one.subscribeAsync('smartmeter/METER001/command/#', { qos: 1 });
    const { one } = await client('backend');
    await one.publishAsync('smartmeter/METER001/command/balance', '{"balance":5}', { qos: 1 });
    await test.broker.publish({ topic: 'smartmeter/METER001/command/relay', payload: 'on', qos: 1 });
    await eventually(() => meter.received.length === 2);
    assert.deepEqual(
      meter.received.map(({ text }) => text),
      ['{"balance":5}', 'on'],
    );
  });

  it('get no more than the QoS that they asked for, also under a wildcard [MQTT-3.8.4-6]', async () => {
    const meter = await client('METER001');
    await meter.one.subscribeAsync('smartmeter/METER001/command/#', { qos: 1 });
    await test.broker.publish({ topic: 'smartmeter/METER001/command/balance', payload: '2', qos: 2 });
    await eventually(() => meter.received[0]?.qos === 1);
  });

  it('get a retained message of a device once it is accepted, and later subscribers too', async () => {
    test.sink.settling = true;
    const meter = await client('METER001');
    await meter.one.publishAsync('smartmeter/METER001/status', '{"status":"online"}', {
      qos: 1,
      retain: true,
    });
    const { one, received } = await client('backend');
    await one.subscribeAsync('smartmeter/+/#');
    await eventually(() => received[0]?.retain === true);
    assert.equal(test.sink.deliveries.length, 1);
  });

  it('do not get a retained message of a device beyond its quota as retained', async () => {
    const small = await startTestBroker({ retainedTopicsMax: 1 });
    small.sink.settling = true;
    const wire = await Wire.login(small.port, as('METER001'));
    for (const [i, name] of ['a', 'b'].entries()) {
      wire.send(publishPacket(`devices/id-METER001/${name}`, name, i + 1, 1, 1));
    }
    await wire.expect(puback(1), puback(2));
    const account = await Wire.login(small.port, as('backend'));
    account.send(subscribePacket(1, ['devices/+/#', 0]));
    await account.expect(
      Buffer.from([0x90, 3, 0, 1, 0]),
      publishPacket('devices/id-METER001/a', 'a', 0, 0, 1),
    );
    await account.expectSilence();
    wire.end();
    account.end();
    await small.broker.close({ drainMs: 0 });
  });

  it('get the will of a device that is cut off, after it is accepted; a DISCONNECT has none', async () => {
    const { one, received } = await client('backend');
    await one.subscribeAsync('smartmeter/+/#');
    const will = { topic: 'smartmeter/METER001/status', payload: '{"status":"error"}', qos: 1 };
    const polite = await Wire.login(test.port, { ...as('METER001'), will });
    polite.socket.end(Buffer.from([0xe0, 0]));
    await eventually(() => test.sink.of('disconnected')[0]?.reason === 'disconnect');
    const cut = await Wire.login(test.port, { ...as('METER001'), will });
    cut.end();
    await eventually(() => test.sink.deliveries.length === 1);
    assert.equal(received.length, 0);
    const [delivery] = test.sink.deliveries;
    assert.equal(delivery?.device_id, 'id-METER001');
    deliveries.settle(delivery?.delivery ?? 0);
    await eventually(() => received[0]?.text === '{"status":"error"}');
    assert.equal(test.sink.deliveries.length, 1);
  });

  it('keep their queue over a disconnect with a stored session, bounded, and see DUP when sent again', async () => {
    await test.broker.close({ drainMs: 0 });
    test = await startTestBroker({ offlineMessagesMax: 3 });
    const login = { ...as('METER001'), clean: false };
    const topic = 'smartmeter/METER001/command/balance';
    const before = await Wire.login(test.port, login);
    before.send(subscribePacket(1, [topic, 1]));
    await before.expect(Buffer.from([0x90, 3, 0, 1, 1]));
    await test.broker.publish({ topic, payload: '1', qos: 1 });
    await before.expect(publishPacket(topic, '1', 1, 1));
    before.end();
    await eventually(() => test.broker.stats().clients === 0);
    for (const payload of ['2', '3', '4', '5']) await test.broker.publish({ topic, payload, qos: 1 });
    const after = await Wire.open(test.port);
    after.send(connectPacket(login));
    await after.expect(
      connack(0, 1),
      publishPacket(topic, '1', 1, 1, 8),
      publishPacket(topic, '2', 2, 1),
      publishPacket(topic, '3', 3, 1),
    );
    await after.expectSilence();
    after.end();
  });

  it('are refused a foreign publish by a close', async () => {
    const { one } = await client('backend');
    one.publish('smartmeter/METER001/consumption', '{}', { qos: 1 });
    await eventually(() => !one.connected);
    await eventually(() => test.sink.of('refused')[0]?.reason === 'publish denied');
  });

  it('work with mosquitto_pub and mosquitto_sub', async () => {
    test.sink.settling = true;
    const common = ['-h', '127.0.0.1', '-p', String(test.port)];
    const heard = run('mosquitto_sub', [
      ...common,
      ...credentials('backend'),
      '-t',
      'meters/+/#',
      '-q',
      '1',
      '-C',
      '3',
      '-W',
      '8',
    ]);
    await eventually(() => test.sink.of('connected').length === 1);
    for (const qos of ['0', '1', '2']) {
      const topic = 'meters/METER001/readings';
      await eventually(async () => {
        await run('mosquitto_pub', [
          ...common,
          ...credentials('METER001'),
          '-t',
          topic,
          '-q',
          qos,
          '-m',
          `qos ${qos}`,
        ]);
      });
    }
    assert.equal((await heard).stdout, 'qos 0\nqos 1\nqos 2\n');
    await assert.rejects(
      run('mosquitto_pub', [...common, '-u', 'METER001', '-P', 'wrong', '-t', 'x', '-m', 'x', '-q', '1']),
      /not authori[sz]ed/i,
    );
  });
});

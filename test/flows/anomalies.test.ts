import assert from 'node:assert/strict';
import mqtt from 'mqtt';
import { eventually } from '../support/eventually.js';
import { quarter, startHouse, type House } from './house.js';

interface Page {
  readonly data: { readonly kind: string; readonly subject: string; readonly occurrences: number }[];
  readonly total: number;
}

describe('the tab Anomalies', function () {
  this.timeout(150_000);
  let house: House;
  before(async () => {
    house = await startHouse();
  });
  after(() => house?.close());

  async function listed(query: string): Promise<Page> {
    const { status, body } = await house.request('GET', `/api/admin/anomalies${query}`);
    assert.equal(status, 200);
    return body as unknown as Page;
  }

  it('lists what a meter did out of the ordinary, while its readings are stored as ever [H-23]', async () => {
    const device = await house.register('ODD');
    const client = await house.connect(device);
    const topic = 'meters/ODD/readings';
    const day = Array.from({ length: 97 }, (_, n) => ({
      kwh_amount: 0.25,
      reading_timestamp: quarter(n + 1),
    }));
    await client.publishAsync(topic, JSON.stringify(day), { qos: 1 });
    await client.publishAsync(topic, JSON.stringify({ kwh_amount: 90, reading_timestamp: quarter(0) }), {
      qos: 1,
    });
    for (let n = 0; n < 12; n++) await client.publishAsync(topic, `no JSON ${n}`, { qos: 1 });
    assert.equal(Number(await house.value(`select count(*) from meter_readings where meter_id = 'ODD'`)), 98);
    await eventually(async () => {
      const { data } = await listed('?meter_id=ODD&order=asc');
      assert.deepEqual(data.map(({ kind, occurrences }) => `${kind} ${occurrences}`).sort(), [
        'consumption_outlier 1',
        'malformed_burst 10',
      ]);
    });
    const { text } = await metrics();
    assert.match(text, /meterflow_anomalies_total\{kind="consumption_outlier"\} 1/);
  });

  it('lists a device that tries the topics of others, and an address that guesses passwords', async () => {
    const device = await house.register('HOPPER');
    for (let n = 0; n < 3; n++) {
      const client = await house.connect(device, { reconnectPeriod: 0 });
      client.publish('meters/ODD/readings', '{}', { qos: 1 }, () => {});
      await eventually(() => !client.connected);
    }
    for (let n = 0; n < 20; n++) {
      const options = { username: 'HOPPER', password: `guess ${n}`, reconnectPeriod: 0 };
      const url = `mqtt://127.0.0.1:${house.appliance.mqttPort}`;
      await assert.rejects(mqtt.connectAsync(url, options));
    }
    await eventually(async () => {
      const hops = await listed('?kind=topic_hopping');
      assert.deepEqual(
        hops.data.map(({ subject }) => subject),
        ['HOPPER'],
      );
      const guesses = await listed('?kind=refused_logins');
      assert.deepEqual(
        guesses.data.map(({ subject, occurrences }) => [subject, occurrences]),
        [['127.0.0.1', 20]],
      );
    });
  });

  it('lists a device that hops among topics of its own, whichever QoS it uses', async () => {
    const device = await house.register('RESTLESS');
    const client = await house.connect(device);
    for (let n = 0; n <= 30; n++)
      await client.publishAsync(`devices/${device.id}/probe/${n}`, '{}', { qos: n % 2 === 0 ? 1 : 0 });
    await eventually(async () => {
      const { data } = await listed('?meter_id=RESTLESS');
      assert.deepEqual(
        data.map(({ kind, occurrences }) => [kind, occurrences]),
        [['topic_hopping', 31]],
      );
    });
  });

  it('lists what devices try at a broker that asks us, by the addresses that it tells', async () => {
    const device = await house.register('AWAY');
    const acl = { username: device.user, topic: 'meters/ODD/readings', action: 'publish' };
    for (let n = 0; n < 3; n++) {
      const { body } = await house.request('POST', '/mqtt/acl', acl);
      assert.equal((body as { result?: string }).result, 'deny');
    }
    const guess = { username: device.user, password: 'guess', acc: 1, peerhost: '10.9.8.7' };
    for (let n = 0; n < 20; n++) assert.equal((await house.request('POST', '/mqtt/auth', guess)).status, 403);
    await eventually(async () => {
      const hops = await listed('?kind=topic_hopping&meter_id=AWAY');
      assert.deepEqual(
        hops.data.map(({ subject, occurrences }) => [subject, occurrences]),
        [['AWAY', 3]],
      );
      const { data } = await listed('?kind=refused_logins');
      assert.deepEqual(data.map(({ subject, occurrences }) => [subject, occurrences])[0], ['10.9.8.7', 20]);
    });
  });

  it('answers by page, and refuses a kind that there is not', async () => {
    const page = await listed('?limit=1&page=2');
    assert.equal(page.data.length, 1);
    assert.ok(page.total >= 3);
    const { status, body } = await house.request('GET', '/api/admin/anomalies?kind=odd');
    assert.equal(status, 400);
    assert.equal(body.error?.code, 'SCHEMA_INVALID');
  });

  async function metrics(): Promise<{ text: string }> {
    const answer = await fetch(`${house.appliance.url}/metrics`);
    return { text: await answer.text() };
  }
});

import assert from 'node:assert/strict';
import type { MqttClient } from 'mqtt';
import { eventually } from '../support/eventually.js';
import { mosquittoPub, quarter, startHouse, type Device, type House } from './house.js';

describe('the tab Ingestion', function () {
  this.timeout(150_000);
  let house: House;
  let meter: Device;
  let client: MqttClient;
  const topic = () => `meters/${meter.meter_id}/readings`;
  const storedCount = () =>
    house.value('select count(*)::int from meter_readings where meter_id = $1', meter.meter_id);

  before(async () => {
    house = await startHouse();
    meter = await house.register('METER001');
    client = await house.connect(meter);
  });
  after(() => house?.close());

  /** Resolves with the PUBACK: from then on the outcome must be in the database, without waiting ([M-13]). */
  const publish = (payload: unknown, to = topic()) =>
    client.publishAsync(to, typeof payload === 'string' ? payload : JSON.stringify(payload), { qos: 1 });

  it('has stored a reading when the PUBACK arrives [M-13]', async () => {
    await publish({ kwh_amount: 1.25, reading_timestamp: quarter(0) });
    const [row] = await house.rows(
      'select kwh_amount, reading_timestamp, source from meter_readings where meter_id = $1',
      meter.meter_id,
    );
    assert.equal(row?.['kwh_amount'], '1.2500');
    assert.deepEqual(row?.['reading_timestamp'], new Date(quarter(0)));
    assert.equal(row?.['source'], 'mqtt');
  });

  it('acknowledges a repeat and stores it once', async () => {
    await publish({ kwh_amount: 1.25, reading_timestamp: quarter(0) });
    assert.equal(await storedCount(), 1);
    assert.equal(await house.value('select count(*)::int from quarantined_messages'), 0);
  });

  it('takes readings from mosquitto_pub', async () => {
    const message = JSON.stringify({ kwh_amount: 0.5, reading_timestamp: quarter(1) });
    assert.deepEqual(await mosquittoPub(house, meter, topic(), message), { code: 0, text: '' });
    assert.equal(await storedCount(), 2);
  });

  it('stores an array, and keeps what is wrong in it by its position [M-1]', async () => {
    await publish([
      { kwh_amount: 0.1, reading_timestamp: quarter(10) },
      { kwh_amount: 0.2, reading_timestamp: quarter(11) },
      { kwh_amount: -1, reading_timestamp: quarter(12) },
    ]);
    assert.equal(await storedCount(), 4);
    const [row] = await house.rows('select part, code from quarantined_messages order by id desc limit 1');
    assert.deepEqual(row, { part: 2, code: 'KWH_OUT_OF_RANGE' });
  });

  const refused: readonly [title: string, payload: () => unknown, code: string, reason: RegExp][] = [
    ['text that is not JSON', () => '{"kwh_amount":', 'SCHEMA_INVALID', /JSON/],
    ['a reading without energy', () => ({ reading_timestamp: quarter(20) }), 'SCHEMA_INVALID', /kwh_amount/],
    [
      'energy as text',
      () => ({ kwh_amount: '1', reading_timestamp: quarter(20) }),
      'SCHEMA_INVALID',
      /kwh_amount/,
    ],
    [
      'too much energy',
      () => ({ kwh_amount: 100.0001, reading_timestamp: quarter(20) }),
      'KWH_OUT_OF_RANGE',
      /100/,
    ],
    [
      'no energy',
      () => ({ kwh_amount: 0, reading_timestamp: quarter(20) }),
      'KWH_OUT_OF_RANGE',
      /more than 0/,
    ],
    [
      'a reading of last week',
      () => ({ kwh_amount: 1, reading_timestamp: quarter(4 * 24 * 7 + 1) }),
      'TIMESTAMP_OUT_OF_WINDOW',
      /7 days/,
    ],
    [
      'a reading of tomorrow',
      () => ({ kwh_amount: 1, reading_timestamp: quarter(-96) }),
      'TIMESTAMP_OUT_OF_WINDOW',
      /ahead/,
    ],
    [
      'a neighbour of a minute',
      () => ({ kwh_amount: 1, reading_timestamp: Date.parse(quarter(0)) - 60_000 }),
      'TOO_CLOSE',
      /900|15/,
    ],
    [
      'a reading of another meter',
      () => ({ meter_id: 'METER002', kwh_amount: 1, reading_timestamp: quarter(20) }),
      'METER_MISMATCH',
      /METER002/,
    ],
  ];
  for (const [title, payload, code, reason] of refused) {
    it(`keeps ${title} in quarantine as ${code}, then acknowledges [M-14]`, async () => {
      const before = await storedCount();
      const sent = payload();
      await publish(sent);
      assert.equal(await storedCount(), before);
      const [row] = await house.rows(
        'select meter_id, topic, code, reason, payload from quarantined_messages order by id desc limit 1',
      );
      assert.equal(row?.['code'], code);
      assert.match(String(row?.['reason']), reason);
      assert.equal(row?.['meter_id'], meter.meter_id);
      assert.equal(row?.['topic'], topic());
      assert.equal(String(row?.['payload']), typeof sent === 'string' ? sent : JSON.stringify(sent));
    });
  }

  it('keeps other messages of QoS 1 as they came [M-10]', async () => {
    await publish({ say: 'hello' }, `devices/${meter.id}/events`);
    const [row] = await house.rows(
      'select topic, payload, qos from device_messages where device_id = $1',
      meter.id,
    );
    assert.deepEqual(
      { ...row, payload: String(row?.['payload']) },
      {
        topic: `devices/${meter.id}/events`,
        payload: '{"say":"hello"}',
        qos: 1,
      },
    );
  });

  it('refuses a wrong password with CONNACK 5 [M-12]', async () => {
    await assert.rejects(house.connect({ ...meter, password: 'wrong' }, { clientId: 'somebody' }), {
      code: 5,
    });
    const { code, text } = await mosquittoPub(house, { ...meter, password: 'wrong' }, topic(), '{}');
    assert.notEqual(code, 0);
    assert.match(text, /not authori[sz]ed/i);
  });

  it('closes a connection that publishes for another meter, and stores nothing [M-12]', async () => {
    const other = await house.register('METER002');
    const foreign = await house.connect(other);
    const closed = new Promise<void>((settle) => foreign.once('close', settle));
    foreign.publish(
      topic(),
      JSON.stringify({ kwh_amount: 1, reading_timestamp: quarter(30) }),
      { qos: 1 },
      () => {},
    );
    await closed;
    const found = await house.value(
      'select count(*)::int from meter_readings where reading_timestamp = $1',
      quarter(30),
    );
    assert.equal(found, 0);
    assert.equal(client.connected, true);
  });

  it('writes into the registry who is online', async () => {
    await house.register('METER003');
    const online = async () =>
      ((await house.request('GET', '/devices/METER003')).body as unknown as { online: boolean }).online;
    assert.equal(await online(), false);
    const { body } = await house.request('GET', '/devices/METER001');
    assert.equal((body as unknown as { online: boolean }).online, true);
  });

  it('closes the live session of a removed device within a second [H-2]', async () => {
    const gone = await house.register('METER004');
    const session = await house.connect(gone);
    const closed = new Promise<void>((settle) => session.once('close', settle));
    await session.publishAsync(
      'meters/METER004/readings',
      JSON.stringify({ kwh_amount: 1, reading_timestamp: quarter(0) }),
      { qos: 1 },
    );
    const begun = Date.now();
    const { status } = await house.request('DELETE', '/devices/METER004');
    assert.equal(status, 200);
    await closed;
    assert.ok(Date.now() - begun < 1000, `closed after ${Date.now() - begun} ms`);
    await eventually(() => assert.rejects(house.connect(gone), { code: 5 }));
    const kept = await house.value("select count(*)::int from meter_readings where meter_id = 'METER004'");
    assert.equal(kept, 1);
  });
});

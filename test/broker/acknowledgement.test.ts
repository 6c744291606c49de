import assert from 'node:assert/strict';

import { deliveries } from '../../src/broker/deliveries.js';
import { type TestBroker, as, startTestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import {
  Wire,
  connack,
  connectPacket,
  puback,
  pubcomp,
  publishPacket,
  pubrec,
  pubrel,
} from '../support/mqtt-wire.js';

const READINGS = 'meters/METER001/readings';

describe('A PUBACK means committed [M-13]', () => {
  let test: TestBroker;
  let wire: Wire;

  beforeEach(async () => {
    test = await startTestBroker();
    wire = await Wire.login(test.port, as('METER001'));
  });

  afterEach(async () => {
    wire.end();
    await test.broker.close({ drainMs: 0 });
  });

  async function taken(count: number) {
    await eventually(() => test.sink.deliveries.length === count, { intervalMs: 2 });
    return test.sink.deliveries;
  }

  it('hands a reading to the flow and writes no PUBACK before it is settled', async () => {
    wire.send(publishPacket(READINGS, '{"kwh_amount":1}', 7));
    const [delivery] = await taken(1);
    assert.ok(delivery);
    assert.deepEqual(
      { ...delivery, delivery: delivery.delivery > 0, received_at: delivery.received_at > 0 },
      {
        delivery: true,
        topic: READINGS,
        pattern: 'meters/+/readings',
        qos: 1,
        payload: '{"kwh_amount":1}',
        received_at: true,
        device_id: 'id-METER001',
        meter_id: 'METER001',
        user_id: null,
      },
    );
    await wire.expectSilence();
    deliveries.settle(delivery.delivery);
    await wire.expect(puback(7));
  });

  it('answers PINGREQ while deliveries are held', async () => {
    wire.send(publishPacket(READINGS, '{}', 1), publishPacket(READINGS, '{}', 2));
    for (const { delivery } of await taken(2)) deliveries.hold(delivery);
    await wire.expectSilence();
    await wire.expectSilence();
  });

  it('acknowledges one client in the order of its packets, however they are settled', async () => {
    for (let id = 1; id <= 4; id++) wire.send(publishPacket(READINGS, `{"n":${id}}`, id));
    const [first, second, third, fourth] = await taken(4);
    deliveries.settle(fourth?.delivery ?? 0);
    deliveries.settle(second?.delivery ?? 0);
    await wire.expectSilence();
    deliveries.settle(first?.delivery ?? 0);
    await wire.expect(puback(1), puback(2));
    await wire.expectSilence();
    deliveries.settle(third?.delivery ?? 0);
    await wire.expect(puback(3), puback(4));
  });

  it('does not let one client wait for another', async () => {
    const other = await Wire.login(test.port, as('METER002'));
    wire.send(publishPacket(READINGS, '{}', 1));
    await taken(1);
    other.send(publishPacket('meters/METER002/readings', '{}', 9));
    const [, theirs] = await taken(2);
    deliveries.settle(theirs?.delivery ?? 0);
    await other.expect(puback(9));
    await wire.expectSilence();
    other.end();
  });

  it('waits for each part of a split delivery; a part counts once', async () => {
    wire.send(publishPacket(READINGS, '[1,2,3]', 5));
    const id = (await taken(1))[0]?.delivery ?? 0;
    deliveries.split(id, 3);
    deliveries.settle(id, 0);
    deliveries.settle(id, 0);
    deliveries.settle(id, 2);
    deliveries.split(id, 3);
    await wire.expectSilence();
    deliveries.settle(id, 1);
    await wire.expect(puback(5));
    deliveries.settle(id, 1);
    deliveries.settle(id);
    await wire.expectSilence();
  });

  it('ignores a settle after the client has gone, and unknown ids', async () => {
    wire.send(publishPacket(READINGS, '{}', 1));
    const [delivery] = await taken(1);
    wire.end();
    await eventually(() => test.sink.of('disconnected').length === 1);
    deliveries.settle(delivery?.delivery ?? 0);
    deliveries.settle(987_654_321);
    assert.equal(test.broker.stats().inflight, 0);
  });

  it('gives QoS 0 the delivery number 0 and no answer', async () => {
    wire.send(publishPacket('smartmeter/METER001/status', '{"status":"online"}'));
    const [delivery] = await taken(1);
    assert.equal(delivery?.delivery, 0);
    assert.equal(test.broker.stats().inflight, 0);
    await wire.expectSilence();
  });

  it('separates readings from everything else, and bundles what comes together', async () => {
    wire.send(
      ...Array.from({ length: 50 }, (_, i) => publishPacket(READINGS, `{"n":${i}}`, i + 1)),
      publishPacket('devices/id-METER001/telemetry', '{}'),
    );
    await taken(51);
    assert.deepEqual(test.sink.batches, [
      { output: 'readings', size: 50 },
      { output: 'messages', size: 1 },
    ]);
  });

  it('hands over bytes that are not UTF-8 as bytes', async () => {
    wire.send(publishPacket('meters/METER001/readings.pb', Buffer.from([0xff, 0x00, 0x80]), 1));
    assert.deepEqual((await taken(1))[0]?.payload, Buffer.from([0xff, 0x00, 0x80]));
    wire.send(publishPacket(READINGS, 'caf\u00e9 \ufffd', 2));
    assert.equal((await taken(2))[1]?.payload, 'caf\u00e9 \ufffd');
  });

  describe('with QoS 2', () => {
    it('writes PUBREC after the settle, PUBCOMP on PUBREL, and takes a repeat for the same message', async () => {
      wire.send(publishPacket(READINGS, '{"n":1}', 3, 2));
      const [delivery] = await taken(1);
      wire.send(publishPacket(READINGS, '{"n":1}', 3, 2, 8));
      await wire.expectSilence();
      deliveries.settle(delivery?.delivery ?? 0);
      await wire.expect(pubrec(3));
      wire.send(publishPacket(READINGS, '{"n":1}', 3, 2, 8));
      await wire.expect(pubrec(3));
      wire.send(pubrel(3));
      await wire.expect(pubcomp(3));
      assert.equal(test.sink.deliveries.length, 1);
      wire.send(publishPacket(READINGS, '{"n":2}', 3, 2));
      await taken(2);
    });

    it('remembers the packet id for a stored session across a reconnect [MQTT-4.3.3-2]', async () => {
      const login = { ...as('METER002'), clean: false };
      const before = await Wire.login(test.port, login);
      before.send(publishPacket('meters/METER002/readings', '{}', 11, 2));
      const [delivery] = await taken(1);
      before.end();
      await eventually(() => test.sink.of('disconnected').length === 1);
      const after = await Wire.open(test.port);
      after.send(connectPacket(login), publishPacket('meters/METER002/readings', '{}', 11, 2, 8));
      await after.expect(connack(0, 1));
      await after.expectSilence();
      deliveries.settle(delivery?.delivery ?? 0);
      await after.expect(pubrec(11));
      assert.equal(test.sink.deliveries.length, 1);
      after.end();
    });

    it('closes a client that never releases its packet ids', async () => {
      const small = await startTestBroker({ received2Max: 3 });
      small.sink.settling = true;
      const greedy = await Wire.login(small.port, as('METER001'));
      for (let id = 1; id <= 4; id++) greedy.send(publishPacket(READINGS, `{"n":${id}}`, id, 2));
      await greedy.expectClosed();
      await small.broker.close({ drainMs: 0 });
    });
  });
});

import assert from 'node:assert/strict';

import type { Delivery } from '../../src/broker/delivery.js';
import { deliveries } from '../../src/broker/deliveries.js';
import { as, startTestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Wire, puback, publishPacket } from '../support/mqtt-wire.js';

const TOPIC = 'smartmeter/METER001/consumption';

describe('A delivery that no flow settles [M-13]', () => {
  it('is given up after the deadline by closing that client only, and counted', async () => {
    const { broker, port, sink } = await startTestBroker({ flowDeadlineMs: 300 });
    const silent = await Wire.login(port, as('METER002'));
    const wire = await Wire.login(port, as('METER001'));
    wire.send(publishPacket(TOPIC, '{}', 1));
    await wire.expectClosed();
    assert.equal(broker.stats().givenUp, 1);
    assert.equal(broker.stats().inflight, 0);
    await eventually(() => sink.of('disconnected')[0]?.reason === 'not settled by the flow');
    await silent.expectSilence();
    silent.end();
    await broker.close({ drainMs: 0 });
  });

  it('comes back three times at most: then it is kept as FLOW_UNSETTLED and acknowledged', async () => {
    const kept: Delivery[] = [];
    const { broker, port } = await startTestBroker(
      { flowDeadlineMs: 200 },
      { unsettled: async (delivery) => void kept.push(delivery) },
    );
    for (let round = 1; round <= 2; round++) {
      const wire = await Wire.login(port, as('METER001'));
      wire.send(publishPacket(TOPIC, '{"lost":true}', round));
      await wire.expectClosed();
      assert.equal(kept.length, 0);
    }
    const wire = await Wire.login(port, as('METER001'));
    wire.send(publishPacket(TOPIC, '{"lost":true}', 9));
    await wire.expect(puback(9));
    assert.deepEqual(
      kept.map(({ topic, payload }) => ({ topic, payload })),
      [{ topic: TOPIC, payload: '{"lost":true}' }],
    );
    wire.end();
    await broker.close({ drainMs: 0 });
  });

  it('closes the client, unacknowledged, when it cannot be kept either', async () => {
    const { broker, port } = await startTestBroker(
      { flowDeadlineMs: 100 },
      { unsettled: () => Promise.reject(new Error('no database')) },
    );
    for (let round = 1; round <= 3; round++) {
      const wire = await Wire.login(port, as('METER001'));
      wire.send(publishPacket(TOPIC, '{}', round));
      await wire.expectClosed();
      assert.equal(wire.received, '');
    }
    await broker.close({ drainMs: 0 });
  });

  it('is not given up while a store holds it, until the hold outlasts 1.5 times the keep-alive', async () => {
    const { broker, port, sink } = await startTestBroker({ flowDeadlineMs: 200, holdMinMs: 0 });
    const patient = await Wire.login(port, { ...as('METER002'), keepAlive: 60 });
    const wire = await Wire.login(port, { ...as('METER001'), keepAlive: 1 });
    patient.send(publishPacket('smartmeter/METER002/consumption', '{}', 1));
    wire.send(publishPacket(TOPIC, '{}', 1));
    await eventually(() => sink.deliveries.length === 2);
    for (const { delivery } of sink.deliveries) deliveries.hold(delivery);
    const held = Date.now();
    await eventually(
      async () => {
        if (!wire.closed) await wire.expectSilence().catch(() => {});
        return wire.closed;
      },
      { intervalMs: 100 },
    );
    assert.ok(Date.now() - held >= 1_400, 'the hold may last 1.5 s');
    assert.equal(sink.of('disconnected')[0]?.reason, 'hold outlasted the keep-alive');
    assert.equal(broker.stats().inflight, 2, 'the store still owns both');
    assert.equal(broker.stats().givenUp, 0);
    sink.settleAll();
    await patient.expect(puback(1));
    assert.equal(broker.stats().inflight, 0);
    patient.end();
    await broker.close({ drainMs: 0 });
  });

  it('is given up, too, when one part of it is committed and another went to nobody', async () => {
    const { broker, port, sink } = await startTestBroker({ flowDeadlineMs: 300 });
    const wire = await Wire.login(port, { ...as('METER001'), keepAlive: 60 });
    wire.send(publishPacket('meters/METER001/readings', '[{},{}]', 1));
    await eventually(() => sink.deliveries.length === 1);
    const id = sink.deliveries[0]?.delivery ?? 0;
    deliveries.split(id, 2);
    deliveries.hold(id, 0);
    deliveries.settle(id, 0);
    await wire.expectClosed();
    assert.deepEqual([broker.stats().givenUp, broker.stats().inflight], [1, 0]);
    await broker.close({ drainMs: 0 });
  });

  it('is not given up while a store holds a part of it, whatever became of the others', async () => {
    const { broker, port, sink } = await startTestBroker({ flowDeadlineMs: 100 });
    const wire = await Wire.login(port, { ...as('METER001'), keepAlive: 60 });
    const other = await Wire.login(port, as('METER002'));
    wire.send(publishPacket('meters/METER001/readings', '[{},{},{}]', 1));
    await eventually(() => sink.deliveries.length === 1);
    const id = sink.deliveries[0]?.delivery ?? 0;
    deliveries.split(id, 3);
    for (const part of [0, 1, 2]) deliveries.hold(id, part);
    deliveries.settle(id, 0);
    deliveries.release(id, 1);
    other.send(publishPacket('meters/METER002/readings', '{}', 1));
    await other.expectClosed();
    assert.equal(broker.stats().givenUp, 1, 'the other one, after the deadline');
    deliveries.settle(id, 2);
    deliveries.settle(id, 2);
    deliveries.settle(id, 1);
    await wire.expect(puback(1));
    wire.end();
    await broker.close({ drainMs: 0 });
  });

  it('gives up what a throwing flow took', async () => {
    const { broker, port } = await startTestBroker(
      { flowDeadlineMs: 100 },
      {
        sink: {
          readings() {
            throw new Error('a node is broken');
          },
          messages() {},
          sessions() {},
        },
      },
    );
    const wire = await Wire.login(port, as('METER001'));
    wire.send(publishPacket('meters/METER001/readings', '{}', 1));
    await wire.expectClosed();
    assert.equal(broker.stats().givenUp, 1);
    await broker.close({ drainMs: 0 });
  });
});

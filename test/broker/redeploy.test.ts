import assert from 'node:assert/strict';

import { deliveries } from '../../src/broker/deliveries.js';
import type { BrokerOptions } from '../../src/broker/options.js';
import { acquireBroker, closeAllBrokers, releaseBroker } from '../../src/broker/runtime.js';
import { KeepingSink, as, startTestBroker, testDirectory } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Wire, connack, connectPacket, puback, publishPacket } from '../support/mqtt-wire.js';

const READINGS = 'meters/METER001/readings';

function options(sink: KeepingSink): BrokerOptions {
  return { host: '127.0.0.1', port: 0, directory: testDirectory(), sink };
}

describe('A redeploy', () => {
  afterEach(() => closeAllBrokers({ drainMs: 0 }));

  it('keeps sockets and commits under way, holds new ones back, and offers what the old flow lost', async () => {
    const old = new KeepingSink();
    const broker = await acquireBroker('a', options(old));
    const wire = await Wire.login(broker.port, as('METER001'));
    wire.send(publishPacket(READINGS, '"held"', 1), publishPacket(READINGS, '"lost"', 2));
    await eventually(() => old.deliveries.length === 2);
    deliveries.hold(old.deliveries[0]?.delivery ?? 0);

    await releaseBroker('a');
    wire.send(publishPacket(READINGS, '"new"', 3));
    const late = await Wire.open(broker.port);
    late.send(connectPacket(as('METER002')));
    await wire.expectSilence();
    assert.equal(late.received, '', 'a login waits for the registry of the next flow');
    deliveries.settle(old.deliveries[0]?.delivery ?? 0);
    await wire.expect(puback(1));

    const next = new KeepingSink();
    next.settling = true;
    assert.equal(await acquireBroker('a', options(next)), broker);
    await wire.expect(puback(2), puback(3));
    await late.expect(connack(0));
    assert.deepEqual(
      next.deliveries.map(({ payload }) => payload),
      ['"lost"', '"new"'],
    );
    assert.equal(old.deliveries.length, 2);
    await releaseBroker('a', { lingerMs: 0 });
    await wire.expectClosed();
    late.end();
  });

  it('closes the broker when no flow comes back in time', async () => {
    const broker = await acquireBroker('b', options(new KeepingSink()));
    const wire = await Wire.login(broker.port, as('METER001'));
    await releaseBroker('b', { lingerMs: 100 });
    await wire.expectClosed();
    await eventually(async () => {
      await assert.rejects(Wire.open(broker.port));
    });
  });

  it('refuses a second node on the same broker, and names a busy port', async () => {
    const broker = await acquireBroker('c', options(new KeepingSink()));
    await assert.rejects(acquireBroker('c', options(new KeepingSink())), { code: 'CONFIGURATION' });
    await assert.rejects(acquireBroker('d', { ...options(new KeepingSink()), port: broker.port }), {
      code: 'BROKER_UNAVAILABLE',
      message: `MQTT port ${broker.port} on 127.0.0.1 is in use by another program`,
    });
  });

  it('with other limits on the same port replaces the broker that lingers', async () => {
    const first = await acquireBroker('e', options(new KeepingSink()));
    const { port } = first;
    await releaseBroker('e', { lingerMs: 0 });
    const sink = new KeepingSink();
    await acquireBroker('e1', { ...options(sink), port });
    await releaseBroker('e1');
    assert.equal((await acquireBroker('e2', { ...options(sink), port })).port, port);
  });
});

describe('Closing the broker', () => {
  it('acknowledges what is settled while it drains, takes nothing new, and publishes no wills', async () => {
    const { broker, port, sink } = await startTestBroker();
    const will = { topic: 'smartmeter/METER001/status', payload: 'dead', qos: 1 };
    const wire = await Wire.login(port, { ...as('METER001'), will });
    wire.send(publishPacket(READINGS, '{}', 1));
    await eventually(() => sink.deliveries.length === 1);
    const closed = broker.close({ drainMs: 3_000 });
    wire.send(publishPacket(READINGS, '{}', 2));
    await wire.expectSilence();
    sink.settleAll();
    await wire.expect(puback(1));
    await wire.expectClosed();
    await closed;
    assert.equal(sink.deliveries.length, 1);
    assert.equal(sink.of('disconnected')[0]?.reason, 'shutdown');
    await assert.rejects(Wire.open(port));
    assert.equal(deliveries.stats().inflight, 0);
  });

  it('does not wait longer than asked for what is never settled', async () => {
    const { broker, port, sink } = await startTestBroker();
    const wire = await Wire.login(port, as('METER001'));
    wire.send(publishPacket(READINGS, '{}', 1));
    await eventually(() => sink.deliveries.length === 1);
    const from = Date.now();
    await broker.close({ drainMs: 200 });
    assert.ok(Date.now() - from < 2_500);
    await wire.expectClosed();
    assert.equal(wire.received, '');
  });
});

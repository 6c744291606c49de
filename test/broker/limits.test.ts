import assert from 'node:assert/strict';

import { KeepingSink, as, startTestBroker } from '../support/broker.js';
import { Crowd } from '../support/crowd.js';
import { eventually } from '../support/eventually.js';
import {
  Wire,
  connack,
  connectPacket,
  disconnectPacket,
  packet,
  puback,
  publishPacket,
  subscribePacket,
  text,
} from '../support/mqtt-wire.js';

const READINGS = 'meters/METER001/readings';

describe('Limits that no client can disturb another by [M-15]', () => {
  it('closes on a packet beyond the limit before it has arrived, and takes one of exactly the limit', async () => {
    const { broker, port, sink } = await startTestBroker({ packetBytesMax: 1_000 });
    const other = await Wire.login(port, as('METER002'));
    const wire = await Wire.login(port, as('METER001'));
    wire.send(publishPacket(READINGS, 'x'.repeat(1_000 - 2 - READINGS.length - 2), 1));
    await eventually(() => sink.deliveries.length === 1);
    sink.settleAll();
    await wire.expect(puback(1));
    // 64 MiB announced, nothing sent.
    wire.send(Buffer.from([0x32, 0x80, 0x80, 0x80, 0x20]));
    await wire.expectClosed();
    await eventually(() => sink.of('disconnected')[0]?.reason === 'packet too large');
    await other.expectSilence();
    other.end();
    await broker.close({ drainMs: 0 });
  });

  it('takes a big packet in many pieces', async () => {
    const { broker, port, sink } = await startTestBroker();
    const wire = await Wire.login(port, as('METER001'));
    const bytes = publishPacket(READINGS, 'y'.repeat(200_000), 1);
    for (let i = 0; i < bytes.length; i += 7_001) {
      wire.send(bytes.subarray(i, i + 7_001));
      await new Promise(setImmediate);
    }
    await eventually(() => sink.deliveries[0]?.payload.length === 200_000);
    for (const byte of publishPacket(READINGS, 'z', 2)) {
      wire.send(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await eventually(() => sink.deliveries[1]?.payload === 'z');
    wire.end();
    await broker.close({ drainMs: 0 });
  });

  it('lets nobody send a big packet before the login', async () => {
    const { broker, port } = await startTestBroker();
    const wire = await Wire.open(port);
    wire.send(Buffer.from([0x10, 0x80, 0x80, 0x08]));
    await wire.expectClosed();
    await broker.close({ drainMs: 0 });
  });

  it('closes a connection that sends no CONNECT in time, also when it trickles bytes', async () => {
    const { broker, port } = await startTestBroker({ connectTimeoutMs: 300 });
    const silent = await Wire.open(port);
    const trickling = await Wire.open(port);
    trickling.send(Buffer.from([0x10]));
    await silent.expectClosed();
    await trickling.expectClosed();
    await broker.close({ drainMs: 0 });
  });

  it('closes thousands whose time is over a few at a time, so that nobody waits for all of them', async () => {
    const count = 3_000;
    const together: number[] = [];
    const sink = new KeepingSink();
    // What happens within a few milliseconds is told at once.
    sink.sessions = (events) => void together.push(events.length);
    const { broker, port } = await startTestBroker({ connectTimeoutMs: 3_000 }, { sink });
    const crowd = await Crowd.start(port, 1);
    await crowd.silent(Array.from({ length: count }, () => ''));
    assert.equal((await crowd.closed()).count, count);
    await eventually(() => together.reduce((sum, size) => sum + size, 0) === count);
    assert.ok(Math.max(...together) < 500, `${Math.max(...together)} closed together`);
    crowd.end();
    await broker.close({ drainMs: 0 });
  });

  it('closes a client that is silent for 1.5 times its keep-alive, and no other [MQTT-3.1.2-24]', async () => {
    const { broker, port, sink } = await startTestBroker();
    const silent = await Wire.login(port, { ...as('METER001'), keepAlive: 1 });
    const without = await Wire.login(port, { ...as('METER002'), keepAlive: 0 });
    const from = Date.now();
    await silent.expectClosed();
    assert.ok(Date.now() - from >= 1_400);
    await eventually(() => sink.of('disconnected')[0]?.reason === 'keep alive');
    await without.expectSilence();
    without.end();
    await broker.close({ drainMs: 0 });
  });

  it('reads a device more slowly beyond its rate, drops nothing, and leaves another alone', async () => {
    const { broker, port, sink } = await startTestBroker({ ratePerSecond: 50, burst: 20 });
    sink.settling = true;
    const fast = await Wire.login(port, as('METER001'));
    const other = await Wire.login(port, as('METER002'));
    const from = Date.now();
    for (let id = 1; id <= 120; id++) fast.send(publishPacket(READINGS, `{"n":${id}}`, id));
    await eventually(() => broker.stats().throttled === 1);
    other.send(publishPacket('meters/METER002/readings', '{}', 1));
    await other.expect(puback(1));
    assert.ok(sink.deliveries.length < 121, 'the other client did not wait');
    await eventually(() => sink.deliveries.length === 121);
    assert.ok(Date.now() - from >= 1_900, '100 messages beyond the burst take two seconds at 50/s');
    const order = sink.deliveries
      .filter(({ meter_id }) => meter_id === 'METER001')
      .map(({ payload }) => payload);
    assert.deepEqual(
      order,
      Array.from({ length: 120 }, (_, i) => `{"n":${i + 1}}`),
    );
    assert.equal(broker.stats().throttled, 0);
    fast.end();
    other.end();
    await broker.close({ drainMs: 0 });
  });

  it('does not refill the burst of a device that reconnects', async () => {
    const { broker, port, sink } = await startTestBroker({ ratePerSecond: 1, burst: 5 });
    sink.settling = true;
    for (let round = 0; round < 3; round++) {
      const wire = await Wire.login(port, as('METER001'));
      for (let id = 1; id <= 5; id++) wire.send(publishPacket(READINGS, '{}', id));
      await eventually(() => sink.deliveries.length >= 5);
      wire.end();
    }
    assert.ok(sink.deliveries.length <= 7, `${sink.deliveries.length} messages got through`);
    await broker.close({ drainMs: 0 });
  });

  it('stops taking PUBLISH at the bound of what is in flight, still answers PINGREQ, and goes on at 80 %', async () => {
    const { broker, port, sink } = await startTestBroker({ inflightMax: 10 });
    const one = await Wire.login(port, as('METER001'));
    const two = await Wire.login(port, as('METER002'));
    for (let id = 1; id <= 25; id++) one.send(publishPacket(READINGS, `{"n":${id}}`, id));
    await eventually(() => sink.deliveries.length === 10);
    two.send(publishPacket('meters/METER002/readings', '{}', 1));
    await one.expectSilence();
    await two.expectSilence();
    assert.equal(sink.deliveries.length, 10);
    assert.equal(broker.stats().saturated, true);
    sink.settling = true;
    sink.settleAll();
    await eventually(() => sink.deliveries.length === 26);
    await one.expect(...Array.from({ length: 25 }, (_, i) => puback(i + 1)));
    await two.expect(puback(1));
    assert.equal(broker.stats().inflight, 0);
    one.end();
    two.end();
    await broker.close({ drainMs: 0 });
  });

  it('bounds the bytes in flight as well', async () => {
    const { broker, port, sink } = await startTestBroker({ inflightBytesMax: 50_000 });
    const wire = await Wire.login(port, as('METER001'));
    for (let id = 1; id <= 10; id++) wire.send(publishPacket(READINGS, 'x'.repeat(10_000), id));
    await eventually(() => broker.stats().saturated);
    await wire.expectSilence();
    assert.equal(sink.deliveries.length, 5);
    sink.settling = true;
    sink.settleAll();
    await wire.expect(...Array.from({ length: 10 }, (_, i) => puback(i + 1)));
    wire.end();
    await broker.close({ drainMs: 0 });
  });

  it('limits the subscriptions of a client with 0x80', async () => {
    const { broker, port } = await startTestBroker({ subscriptionsMax: 2 });
    const wire = await Wire.login(port, as('METER001'));
    const base = 'smartmeter/METER001/command';
    wire.send(subscribePacket(1, [`${base}/a`, 0], [`${base}/b`, 0], [`${base}/c`, 0]));
    await wire.expect(Buffer.from([0x90, 5, 0, 1, 0, 0, 0x80]));
    wire.end();
    // A service account hears a thousand meters, topic by topic.
    const backend = await Wire.login(port, as('backend'));
    backend.send(
      subscribePacket(1, ...['a', 'b', 'c'].map((m): [string, 0] => [`meters/${m}/token/response`, 0])),
    );
    await backend.expect(Buffer.from([0x90, 5, 0, 1, 0, 0, 0]));
    backend.end();
    await broker.close({ drainMs: 0 });
  });

  it('closes a subscriber that does not read, and keeps serving the others', async () => {
    const { broker, port } = await startTestBroker({ outgoingBytesMax: 1_000_000 });
    const slow = await Wire.login(port, as('backend', 'slow'));
    const good = await Wire.login(port, as('backend', 'good'));
    for (const wire of [slow, good]) {
      wire.send(subscribePacket(1, ['devices/+/#', 0]));
      await wire.expect(Buffer.from([0x90, 3, 0, 1, 0]));
    }
    slow.socket.pause();
    const payload = Buffer.alloc(100_000, 'x');
    await eventually(
      async () => {
        await broker.publish({ topic: 'devices/a/telemetry', payload });
        return broker.stats().clients === 1;
      },
      { intervalMs: 0 },
    );
    assert.ok(good.received.length > 0);
    slow.end();
    good.end();
    await broker.close({ drainMs: 0 });
  });

  it('takes what a client sent before its DISCONNECT and its FIN, all in one go', async () => {
    const { broker, port, sink } = await startTestBroker();
    const wire = await Wire.open(port);
    wire.socket.end(
      Buffer.concat([
        connectPacket(as('METER001')),
        publishPacket('devices/id-METER001/telemetry', '{"last":1}'),
        publishPacket('devices/id-METER001/telemetry', '{"last":2}'),
        disconnectPacket,
      ]),
    );
    await eventually(() => sink.deliveries.length === 2);
    await wire.expect(connack(0));
    await eventually(() => sink.of('disconnected')[0]?.reason === 'disconnect');
    await broker.close({ drainMs: 0 });
  });

  it('serves others while one sends garbage', async () => {
    const { broker, port } = await startTestBroker({ connectTimeoutMs: 500 });
    const good = await Wire.login(port, as('METER001'));
    const bad = await Promise.all(Array.from({ length: 50 }, () => Wire.open(port)));
    for (const wire of bad) {
      wire.send(Buffer.from(Array.from({ length: 200 }, () => Math.floor(Math.random() * 256))));
      wire.send(packet(0x30, text('x')));
    }
    for (const wire of bad) await wire.expectClosed();
    await good.expectSilence();
    good.end();
    await broker.close({ drainMs: 0 });
  });
});

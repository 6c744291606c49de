import assert from 'node:assert/strict';
import { frameBytesMax, pack, unpack, type Packable } from '../../src/forward/frame.js';

describe('a journal row', () => {
  it('gives back every message, byte for byte', () => {
    const messages: Packable[] = [
      message({ payload: 'ünïcödé 💡' }),
      message({ topic: 'devices/x/line\nend/\u3000', qos: 2, payload: Buffer.from([0, 255, 13, 10, 254]) }),
      message({ payload: '', qos: 0, device_id: null, meter_id: null, received_at: 1_795_176_000_000.25 }),
      message({ payload: 'x'.repeat(300_000), refused: 70_000, replayed: true }),
    ];
    const size = messages.reduce((sum, one) => sum + frameBytesMax(one, Buffer.byteLength(one.payload)), 1);
    const found = unpack(pack(messages, Buffer.alloc(size)));
    assert.equal(found.length, messages.length);
    for (const [index, one] of found.entries()) {
      const {
        topic,
        qos,
        device_id,
        meter_id,
        received_at,
        payload,
        replayed = false,
      } = messages[index] ?? assert.fail();
      assert.deepEqual(
        [one.topic, one.qos, one.device_id, one.meter_id, one.received_at, one.replayed],
        [topic, qos, device_id ?? '', meter_id ?? '', received_at, replayed],
      );
      assert.ok(one.payload.equals(Buffer.from(payload)));
    }
    assert.equal(found[3]?.refused, 65_535, 'more than a message can hold');
  });

  it('knows readings and consumption reports, of which a repeat is the same message', () => {
    const isOnce = (more: Partial<Packable>): boolean | undefined =>
      unpack(pack([message(more)], Buffer.alloc(1_000)))[0]?.isOnce;
    assert.equal(isOnce({ pattern: 'meters/+/readings' }), true);
    assert.equal(isOnce({ topic: 'meters/METER001/readings.pb' }), true);
    assert.equal(isOnce({ topic: 'smartmeter/METER001/consumption' }), true);
    assert.equal(isOnce({ topic: 'smartmeter/METER001/status' }), false);
    assert.equal(isOnce({ topic: 'devices/meters/METER001/readings' }), false);
  });

  it('of repeats has the same content, of any other message another', () => {
    const content = (more: Partial<Packable>): string | undefined =>
      unpack(pack([message(more)], Buffer.alloc(1_000)))[0]?.content.toString('hex');
    const first = content({});
    assert.equal(content({ received_at: 1, refused: 3, qos: 2 }), first);
    for (const more of [{ payload: 'other' }, { topic: 'devices/b' }, { device_id: 'b' }, { meter_id: 'b' }])
      assert.notEqual(content(more), first);
  });

  it('of another version is refused, not misread', () => {
    assert.throws(() => unpack(Buffer.from([2, 0, 0])), /version 2/);
  });
});

function message(more: Partial<Packable>): Packable {
  const ids = { device_id: '7f3a', meter_id: 'METER001' };
  return {
    topic: 'devices/7f3a/telemetry',
    qos: 1,
    payload: '{}',
    received_at: 1_795_176_000_000,
    ...ids,
    ...more,
  };
}

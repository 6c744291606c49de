import assert from 'node:assert/strict';
import { deliveries } from '../../src/broker/deliveries.js';
import { KeepingSink, as, startTestBroker, type TestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Wire, puback, publishPacket } from '../support/mqtt-wire.js';

const topic = 'meters/METER001/readings';
const flowDeadlineMs = 400;

/** The store failed for a reason of its own, or its node closes: it gives back what it held. */
describe('A delivery that its store gives back [M-13]', () => {
  let test: TestBroker;
  let wire: Wire;

  beforeEach(async () => {
    test = await startTestBroker({ flowDeadlineMs });
    wire = await Wire.login(test.port, as('METER001'));
  });
  afterEach(async () => {
    wire.end();
    await test.broker.close({ drainMs: 0 });
  });

  /** Publishes one, and hands back its number once the flow has it. */
  async function delivered(packetId: number): Promise<number> {
    const before = test.sink.deliveries.length;
    wire.send(publishPacket(topic, `${packetId}`, packetId));
    await eventually(() => test.sink.deliveries.length > before);
    return test.sink.deliveries.at(-1)?.delivery ?? 0;
  }

  /** Until another meter's delivery, offered now and held by nobody, was given up. */
  async function aDeadlinePasses(): Promise<void> {
    const other = await Wire.login(test.port, as('METER002'));
    other.send(publishPacket('meters/METER002/readings', '{}', 1));
    await other.expectClosed();
  }

  const ends = (): (string | null)[] =>
    test.sink
      .of('disconnected')
      .filter(({ meter_id }) => meter_id === 'METER001')
      .map(({ reason }) => reason);
  const isClosed = (): boolean => ends().length > 0;

  it('has the flow’s whole deadline again, from then on, and is given up after it', async () => {
    const id = await delivered(1);
    deliveries.hold(id);
    await aDeadlinePasses();
    assert.ok(!isClosed(), 'no deadline of the flow while a store holds it');
    const released = performance.now();
    deliveries.release(id);
    await eventually(isClosed);
    assert.ok(performance.now() - released >= flowDeadlineMs);
    assert.deepEqual(ends(), ['not settled by the flow']);
    assert.equal(test.broker.stats().givenUp, 2, 'this one, and the other meter’s');
    assert.equal(test.broker.stats().inflight, 0);
  });

  it('may be held again, and settled: one PUBACK', async () => {
    const id = await delivered(1);
    deliveries.hold(id);
    deliveries.release(id);
    deliveries.hold(id);
    await aDeadlinePasses();
    deliveries.settle(id);
    deliveries.release(id);
    deliveries.settle(id);
    await wire.expect(puback(1));
    await wire.expectSilence();
    assert.equal(test.broker.stats().inflight, 0);
  });

  it('is offered to the next flow; what another store still holds is not', async () => {
    const [back, held] = [await delivered(1), await delivered(2)];
    deliveries.hold(back);
    deliveries.hold(held);
    test.broker.pause();
    deliveries.release(back);
    const next = new KeepingSink();
    test.broker.resume({ sink: next, directory: test.directory });
    await eventually(() => assert.equal(next.deliveries.length, 1));
    assert.deepEqual([next.deliveries[0]?.delivery, next.deliveries[0]?.payload], [back, '1']);
    deliveries.settle(held);
    deliveries.settle(back);
    await wire.expect(puback(1), puback(2));
  });

  it('gets no further deadline when no store held it', async () => {
    const begun = performance.now();
    const id = await delivered(1);
    await eventually(() => {
      deliveries.release(id);
      return isClosed();
    });
    assert.ok(performance.now() - begun < 5 * flowDeadlineMs);
  });

  it('stays held as long as a store holds another part of it', async () => {
    const id = await delivered(1);
    deliveries.split(id, 3);
    for (const part of [0, 1]) deliveries.hold(id, part);
    deliveries.settle(id, 2);
    deliveries.release(id, 0);
    assert.deepEqual(
      [0, 1, 2].map((part) => deliveries.isTaken(id, part)),
      [false, true, true],
    );
    await aDeadlinePasses();
    assert.ok(!isClosed(), 'part 1 is held');
    deliveries.release(id, 1);
    deliveries.release(id, 2); // committed; it cannot be given back
    await eventually(isClosed);
    assert.equal(deliveries.isTaken(id, 2), false, 'forgotten with the delivery');
    assert.equal(test.broker.stats().inflight, 0);
  });

  it('leaves the books when its client was closed meanwhile, and does not harm the client that came back', async () => {
    const id = await delivered(1);
    deliveries.hold(id);
    wire.end();
    await eventually(isClosed);
    wire = await Wire.login(test.port, as('METER001'));
    assert.equal(test.broker.stats().inflight, 1, 'the store may still commit it');
    deliveries.release(id);
    await eventually(() => assert.equal(test.broker.stats().inflight, 0));
    const again = await delivered(1);
    deliveries.settle(again);
    await wire.expect(puback(1));
  });
});

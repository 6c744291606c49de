import assert from 'node:assert/strict';
import { Batches } from '../../src/broker/batches.js';
import type { Delivery } from '../../src/broker/delivery.js';
import { eventually } from '../support/eventually.js';

describe('A batch of deliveries', () => {
  let left: string[][];
  let batches: Batches;
  beforeEach(() => {
    left = [];
    const take = (deliveries: readonly Delivery[]): void => {
      left.push(deliveries.map(({ payload }) => String(payload)));
    };
    const sink = { readings: take, messages: take, sessions: () => {} };
    // So long that nobody sees the end of it here.
    batches = new Batches(sink, 3, 60_000, (error) => assert.ifError(error));
  });

  it('leaves at once when nothing left before it', async () => {
    batches.message(delivery('answer'), 6);
    await eventually(() => assert.deepEqual(left, [['answer']]));
  });

  it('gathers what comes after one that left', async () => {
    batches.reading(delivery('1'), 1);
    await eventually(() => assert.deepEqual(left, [['1']]));
    batches.reading(delivery('2'), 1);
    // A timer that is due later than one that would fire at once.
    await new Promise((resolve) => setTimeout(resolve, 2));
    batches.reading(delivery('3'), 1);
    assert.deepEqual(left, [['1']]);
    batches.reading(delivery('4'), 1);
    assert.deepEqual(left, [['1'], ['2', '3', '4']]);
  });
});

function delivery(payload: string): Delivery {
  return {
    delivery: 1,
    topic: 'meters/METER001/token/response',
    pattern: 'meters/+/token/response',
    qos: 1,
    payload,
    received_at: 0,
    device_id: 'METER001',
    meter_id: 'METER001',
    user_id: null,
  };
}

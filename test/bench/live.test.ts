import assert from 'node:assert/strict';
import { judge } from './live/steps.js';

describe('What the bench says of live events', () => {
  it('counts an event when its last listener has it, and what never came', () => {
    // Three events before the first that counts; two listeners.
    const sentMs = [0, 0, 0, 100, 200, 300];
    const heard = { lastMs: [1, 1, 1, 110, 205, 0], counts: [2, 2, 2, 2, 2, 1] };
    const { p50, p95, missed, messages } = judge(heard, sentMs, 3, 2);
    assert.deepEqual([missed, messages], [1, 6]);
    assert.ok(p50 !== null && p50 >= 4.99 && p50 <= 5.11, String(p50));
    assert.ok(p95 !== null && p95 >= 9.99 && p95 <= 10.21, String(p95));
  });

  it('has no latency where nothing came', () => {
    const { p95, missed } = judge({ lastMs: [], counts: [] }, [1, 2], 0, 10);
    assert.deepEqual([p95, missed], [null, 20]);
  });
});

import assert from 'node:assert/strict';
import { createActivity } from '../../src/readings/activity.js';
import type { Reading, Rejection } from '../../src/readings/reading.js';

const begin = Date.UTC(2026, 10, 20, 12);

describe('the activity of the last minute', () => {
  it('means the last five whole seconds and leaves out the one that is running', () => {
    let now = begin;
    const activity = createActivity({ now: () => now });
    for (let second = 0; second < 5; second++) {
      now = begin + second * 1000 + 500;
      activity.add('stored', readings(100));
      activity.add('duplicate', readings(10));
    }
    now = begin + 5_000;
    activity.add('stored', readings(999));
    const { per_second, totals, point } = activity.snapshot();
    assert.deepEqual(per_second, { stored: 100, duplicate: 10, rejected: 0, message: 0 });
    assert.deepEqual(totals, { stored: 1499, duplicate: 50, rejected: 0, message: 0 });
    assert.deepEqual(point, { at: begin + 4_000, stored: 100, duplicate: 10, rejected: 0, message: 0 });
  });

  it('forgets what is older than the window, but keeps the totals', () => {
    let now = begin;
    const activity = createActivity({ windowSeconds: 10, now: () => now });
    activity.add('message', readings(7));
    now += 3_600_000;
    const { per_second, totals, series } = activity.snapshot();
    assert.equal(per_second.message, 0);
    assert.equal(totals.message, 7);
    assert.deepEqual(
      series.map(({ at, message }) => [at, message]),
      Array.from({ length: 10 }, (_, index) => [now - (10 - index) * 1000, 0]),
    );
  });

  it('keeps the last items, newest first, in words for people', () => {
    const activity = createActivity({ keep: 2, now: () => begin });
    activity.add('stored', readings(5));
    activity.add('rejected', [refusal('A'), refusal('B'), refusal('C')]);
    const { latest, refused } = activity.snapshot();
    assert.deepEqual(
      latest.map(({ meter_id, kwh_amount, reading_timestamp }) => [meter_id, kwh_amount, reading_timestamp]),
      [
        ['M4', 1.25, '2026-11-20T12:00:00.000Z'],
        ['M3', 1.25, '2026-11-20T12:00:00.000Z'],
      ],
    );
    assert.deepEqual(
      refused.map(({ meter_id, code, reason }) => [meter_id, code, reason]),
      [
        ['C', 'TOO_CLOSE', 'Too close.'],
        ['B', 'TOO_CLOSE', 'Too close.'],
      ],
    );
  });
});

function readings(count: number): Reading[] {
  return Array.from({ length: count }, (_, index) => ({
    delivery: 0,
    part: 0,
    meter_id: `M${index}`,
    device_id: null,
    user_id: null,
    energy: 12_500,
    time: begin,
    source: 'mqtt',
    received_at: begin,
    topic: '',
    qos: 1,
  }));
}

function refusal(meter_id: string): Rejection {
  return {
    delivery: 0,
    part: 0,
    device_id: null,
    meter_id,
    topic: '',
    qos: 1,
    code: 'TOO_CLOSE',
    reason: 'Too close.',
    payload: '{}',
    received_at: begin,
  };
}

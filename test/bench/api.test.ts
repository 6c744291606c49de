import assert from 'node:assert/strict';
import { differenceOf } from './api/judge.js';
import { kinds, mix, planCalls } from './api/plan.js';
import { assertSame, figuresOf } from './api/same.js';

const until = Date.UTC(2026, 10, 20, 6);
const emails = Array.from({ length: 100 }, (_, index) => `owner${index}@example.org`);
const history = { meters: 1_000, days: 31, everyMinutes: 15, yearMeters: 0, emails, metersOfUser: 10, until };

describe('The calls of the API bench', () => {
  const calls = planCalls(history, 500, 20, 0);

  it('come at the rate, the same for everybody, and in the shares of the mix', () => {
    assert.deepEqual(calls, planCalls(history, 500, 20, 0));
    assert.ok(Math.abs(calls.length - 10_000) < 300, `${calls.length}`);
    assert.ok(calls.every(({ dueMs }, index) => dueMs >= (calls[index - 1]?.dueMs ?? 0) && dueMs < 20_000));
    for (const kind of kinds) {
      const share = (100 * calls.filter((call) => call.kind === kind).length) / calls.length;
      assert.ok(Math.abs(share - mix[kind]) < 2, `${kind}: ${share} %`);
    }
  });

  it('submit each quarter of an hour of a meter once, also after others did', () => {
    const later = planCalls(history, 500, 20, calls.filter(({ body }) => body !== null).length);
    const bodies = [...calls, ...later].flatMap(({ body }) => body ?? []);
    const keys = bodies.map((body) => {
      const { meter_id, reading_timestamp } = JSON.parse(body) as Record<string, string>;
      return `${meter_id} ${reading_timestamp}`;
    });
    assert.equal(new Set(keys).size, bodies.length);
  });
});

describe('What the API bench finds in the table', () => {
  const sent = { meter_id: 'M', kwh_amount: 1.25, reading_timestamp: '2026-11-20T06:00:00.000Z' };
  const key = `M ${Date.UTC(2026, 10, 20, 6) / 1_000}`;

  for (const { title, found, difference } of [
    { title: 'a stored reading is fine', found: [1.25], difference: { lost: 0, wrong: 0 } },
    { title: 'a missing one is lost', found: [], difference: { lost: 1, wrong: 0 } },
    { title: 'another energy is wrong', found: [1.26], difference: { lost: 0, wrong: 1 } },
    { title: 'one that is there twice is wrong', found: [1.25, 1.25], difference: { lost: 0, wrong: 1 } },
  ])
    it(title, () => {
      const rows = found.map((kwh) => ({ key, kwh }));
      assert.deepEqual(differenceOf([sent], rows), difference);
    });

  it('somebody who answers otherwise is named, whatever else the answer has', () => {
    const [ours, same, other] = [
      { balance: 2, currency: null },
      { balance: 2, updated_at: 'x' },
      { balance: 3 },
    ].map((answer) => ({ '/a': figuresOf(answer) }));
    assertSame('peer', ours ?? {}, same ?? {});
    assert.throws(() => assertSame('peer', ours ?? {}, other ?? {}), /peer answers GET \/a otherwise/);
  });
});

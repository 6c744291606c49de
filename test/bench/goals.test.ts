import assert from 'node:assert/strict';
import { goalLines, isReached, type Goal } from './goals.js';

describe('Goals of the bench', () => {
  const cases: { goal: Pick<Goal, 'value' | 'target'>; reached: boolean }[] = [
    { goal: { value: 5, target: { atLeast: 5 } }, reached: true },
    { goal: { value: 4.99, target: { atLeast: 5 } }, reached: false },
    { goal: { value: 50, target: { atMost: 50 } }, reached: true },
    { goal: { value: 50.1, target: { atMost: 50 } }, reached: false },
    { goal: { value: Number.POSITIVE_INFINITY, target: { atMost: 50 } }, reached: false },
    { goal: { value: 1, target: null }, reached: true },
  ];
  for (const { goal, reached } of cases) {
    it(`tells that ${goal.value} is ${reached ? 'within' : 'outside'} ${JSON.stringify(goal.target)}`, () => {
      assert.equal(isReached({ name: 'x', unit: 'ms', ...goal }), reached);
    });
  }

  it('prints the target and the verdict beside the number', () => {
    const [line] = goalLines([{ name: 'p95', value: 61.23, unit: 'ms', target: { atMost: 50 } }]);
    assert.match(line ?? '', /^p95\s+61\.2 ms\s+at most 50\s+missed$/);
  });
});

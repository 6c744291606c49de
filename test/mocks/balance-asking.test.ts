import assert from 'node:assert/strict';
import { createBalanceAsking } from '../../src/mocks/balance-asking.js';

const second = 1_000;

describe('When a meter asks for its balance', () => {
  it('at a connect, and again with growing pauses until a command comes', () => {
    const asking = createBalanceAsking();
    assert.equal(asking.isDue(0, 0), false);
    asking.connected(0);
    const asked = [];
    for (let time = 0; time <= 3_600 * second; time += second) if (asking.isDue(time, 0)) asked.push(time);
    assert.deepEqual(
      asked.slice(0, 5).map((time) => time / second),
      [0, 10, 30, 70, 150],
    );
    const [late = 0, last = 0] = asked.slice(-2);
    assert.equal(last - late, 300 * second);
    asking.taken(3_600 * second, 0);
    assert.equal(asking.isDue(7_200 * second, 0), false);
  });

  it('not because of a command that comes while nothing is under way', () => {
    const asking = createBalanceAsking();
    asking.acknowledged(0);
    asking.taken(6 * second, 0);
    assert.equal(asking.isDue(60 * second, 0), false);
  });

  it('once more after a command that came while a report was under way, as soon as that is acknowledged', () => {
    const asking = createBalanceAsking();
    asking.taken(0, 1);
    assert.equal(asking.isDue(2 * second, 1), false);
    asking.acknowledged(3 * second);
    assert.equal(asking.isDue(3 * second, 0), true);
  });

  it('a last time when the answer may have been another command, sent before the last acknowledgement', () => {
    const asking = createBalanceAsking();
    asking.taken(0, 1);
    asking.acknowledged(second);
    assert.equal(asking.isDue(second, 0), true);
    // The request got lost, and this set out before the report was counted.
    asking.taken(1.1 * second, 0);
    assert.equal(asking.isDue(5.9 * second, 0), false);
    assert.equal(asking.isDue(6 * second, 0), true);
    asking.taken(6.1 * second, 0);
    assert.equal(asking.isDue(3_600 * second, 0), false);
  });

  it('once more after a command that may have been sent before the last acknowledgement', () => {
    const asking = createBalanceAsking();
    asking.acknowledged(0);
    asking.taken(2 * second, 0);
    assert.equal(asking.isDue(2 * second, 0), true);
  });

  it('at most once a second while commands and reports keep crossing', () => {
    const asking = createBalanceAsking();
    let asked = 0;
    for (let time = 0; time < 60 * second; time += 100) {
      asking.taken(time, 1);
      if (asking.isDue(time, 0)) asked += 1;
    }
    assert.equal(asked, 60);
  });
});

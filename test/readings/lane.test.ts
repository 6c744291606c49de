import assert from 'node:assert/strict';
import { createLane } from '../../src/readings/lane.js';

const { signal } = new AbortController();
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('A lane that lingers', () => {
  function open(below: number) {
    const commits: string[][] = [];
    const lane = createLane<string>({
      batchMax: 10,
      linger: { ms: 50, below },
      commit: (items) => {
        commits.push(items);
        return Promise.resolve();
      },
    });
    return { lane, commits };
  }

  it('takes along what comes a little later', async () => {
    const { lane, commits } = open(10);
    const first = lane.add(['a'], { signal });
    await nextTurn();
    await Promise.all([first, lane.add(['b'], { signal })]);
    assert.deepEqual(commits, [['a', 'b']]);
  });

  it('does not linger when enough wait', async () => {
    const { lane, commits } = open(2);
    await lane.add(['a', 'b'], { signal });
    assert.deepEqual(commits, [['a', 'b']]);
    const first = lane.add(['c', 'd'], { signal });
    await nextTurn();
    await Promise.all([first, lane.add(['e', 'f'], { signal })]);
    assert.deepEqual(commits.slice(1), [
      ['c', 'd'],
      ['e', 'f'],
    ]);
  });

  it('commits nothing for whoever left meanwhile, and the next all the same', async () => {
    const { lane, commits } = open(10);
    const impatient = new AbortController();
    const first = lane.add(['a'], { signal: impatient.signal });
    await nextTurn();
    impatient.abort(new Error('enough'));
    await assert.rejects(first, /enough/);
    await lane.add(['b'], { signal });
    assert.deepEqual(commits, [['b']]);
  });
});

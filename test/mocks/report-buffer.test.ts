import assert from 'node:assert/strict';
import { createReportBuffer, type Report } from '../../src/mocks/report-buffer.js';

const report = (timestamp: number, units = 10): Report => ({
  units,
  remaining: 1_000,
  total: units,
  timestamp,
});
const seconds = (buffer: { next(): Report | undefined }): number[] => {
  const found: number[] = [];
  for (let one = buffer.next(); one; one = buffer.next()) found.push(one.timestamp);
  return found;
};

describe('The buffer of consumption reports', () => {
  it('gives them out oldest first, each once until it comes back', () => {
    const buffer = createReportBuffer(10);
    const [first, second] = [report(1), report(2)];
    buffer.add(first);
    buffer.add(second);
    assert.equal(buffer.next(), first);
    assert.equal(buffer.next(), second);
    assert.equal(buffer.next(), undefined);
    buffer.returned(second);
    buffer.returned(first);
    assert.deepEqual(seconds(buffer), [1, 2]);
  });

  it('counts a report and its energy until it is acknowledged, and once only', () => {
    const buffer = createReportBuffer(10);
    buffer.add(report(1, 7));
    buffer.add(report(2, 8));
    const first = buffer.next() ?? assert.fail('empty');
    assert.deepEqual([buffer.size, buffer.underWay, buffer.units], [2, 1, 15]);
    buffer.acknowledged(first);
    buffer.acknowledged(first);
    assert.deepEqual([buffer.size, buffer.underWay, buffer.units], [1, 0, 8]);
  });

  it('leaves a report as it is that may be known under its timestamp, and merges the oldest after it', () => {
    const buffer = createReportBuffer(3);
    buffer.add(report(1));
    buffer.next();
    buffer.allReturned();
    for (const time of [2, 3, 4]) buffer.add(report(time));
    const [first, merged, last] = [buffer.next(), buffer.next(), buffer.next()];
    assert.deepEqual([first?.timestamp, first?.units], [1, 10]);
    assert.deepEqual([merged?.timestamp, merged?.units], [3, 20]);
    assert.deepEqual([last?.timestamp, last?.units], [4, 10]);
  });

  it('merges no further than the 100 units that one report may have, as long as there are others to merge', () => {
    const buffer = createReportBuffer(3);
    for (const time of [1, 2, 3, 4, 5]) buffer.add(report(time, 400_000));
    const sizes = [buffer.next(), buffer.next(), buffer.next()].map((one) => one?.units);
    assert.deepEqual(sizes, [800_000, 800_000, 400_000]);
    assert.equal(buffer.units, 2_000_000);
  });
});

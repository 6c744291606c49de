import assert from 'node:assert/strict';
import { addLatency, emptyLatencies, percentile } from './load/latency-histogram.js';

describe('The latency histogram', () => {
  it('answers percentiles at most two per cent too high, from microseconds to minutes', () => {
    const counts = emptyLatencies();
    for (let ms = 1; ms <= 1_000; ms += 1) addLatency(counts, ms);
    for (const share of [0.5, 0.95, 0.99, 1]) {
      const exact = share * 1_000;
      const answer = percentile([...counts], share) ?? Number.NaN;
      assert.ok(answer >= exact * 0.999 && answer <= exact * 1.021, `${share}: ${answer}`);
    }
    addLatency(counts, 0.001);
    addLatency(counts, 600_000);
    assert.ok((percentile([...counts], 1) ?? 0) >= 600_000);
  });

  it('answers nothing when nothing was counted', () => {
    assert.equal(percentile([...emptyLatencies()], 0.5), null);
  });
});

import assert from 'node:assert/strict';
import {
  both,
  everything,
  namesMax,
  nothing,
  readChange,
  textsOf,
  type Change,
} from '../../src/cache/change.js';

describe('A change as instances tell it', () => {
  it('comes back as it was, in messages that NOTIFY takes', () => {
    const change: Change = {
      everything: false,
      meters: new Set(Array.from({ length: 2_000 }, (_, index) => `METER-${index}`)),
      users: new Set(['0b0e3c0a-8f5e-4b4f-9a3e-111111111111']),
    };
    const texts = textsOf('i0123456789', change);
    assert.ok(texts.length > 1);
    for (const text of texts) assert.ok(Buffer.byteLength(text) < 8_000);
    const heard = texts.map(readChange).reduce((all, one) => both(all, one.change), nothing);
    assert.deepEqual(heard, change);
  });

  it('is everything when a word is not understood', () => {
    assert.deepEqual(readChange('- m:METER001 x:1').change, everything);
    assert.deepEqual(readChange('- *').change, everything);
  });

  it('becomes everything when there are too many names to wait', () => {
    const half = (prefix: string): Change => ({
      everything: false,
      meters: new Set(Array.from({ length: namesMax / 2 + 1 }, (_, index) => `${prefix}${index}`)),
      users: new Set(),
    });
    assert.equal(both(half('a'), half('a')).everything, false);
    assert.equal(both(half('a'), half('b')).everything, true);
  });
});

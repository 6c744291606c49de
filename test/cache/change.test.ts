import assert from 'node:assert/strict';
import {
  everything,
  Gathered,
  namesMax,
  nothing,
  readChange,
  tellerOf,
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
    const heard = new Gathered(nothing);
    for (const text of texts) {
      assert.equal(tellerOf(text), 'i0123456789');
      heard.add(readChange(text));
    }
    assert.deepEqual([heard.everything, heard.meters, heard.users], [false, change.meters, change.users]);
  });

  it('is everything when a word is not understood', () => {
    assert.deepEqual(readChange('- m:METER001 x:1'), everything);
    assert.deepEqual(readChange('- *'), everything);
  });

  it('becomes everything when there are too many names to wait', () => {
    const half = (prefix: string): Change => ({
      everything: false,
      meters: new Set(Array.from({ length: namesMax / 2 + 1 }, (_, index) => `${prefix}${index}`)),
      users: new Set(),
    });
    const gathered = new Gathered(half('a'));
    gathered.add(half('a'));
    assert.equal(gathered.everything, false);
    gathered.add(half('b'));
    assert.deepEqual([gathered.everything, gathered.meters.size], [true, 0]);
    gathered.add(half('c'));
    assert.deepEqual(textsOf('-', gathered), ['- *']);
  });
});

import assert from 'node:assert/strict';
import { MemoryStore, overheadBytes } from '../../src/cache/memory-store.js';
import type { Lease } from '../../src/cache/store.js';

describe('The store in the process', () => {
  it('keeps an answer up to its last millisecond, and not beyond', () => {
    let now = 1_000;
    const store = new MemoryStore({ entriesMax: 10, bytesMax: 10_000 }, () => now);
    store.keep(leaseOf(store, 'a'), 'kept', 500);
    now = 1_499.9;
    assert.deepEqual(store.look({ key: 'a', part: 'p' }), { text: 'kept' });
    now = 1_500;
    assert.equal(textOf(store, 'a'), null);
  });

  it('lets the one go that nobody asked for longest when there are too many', () => {
    const store = new MemoryStore({ entriesMax: 3, bytesMax: 100_000 });
    for (const key of ['a', 'b', 'c']) store.keep(leaseOf(store, key), key, 1_000);
    assert.equal(textOf(store, 'a'), 'a');
    store.keep(leaseOf(store, 'd'), 'd', 1_000);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((key) => textOf(store, key)),
      ['a', null, 'c', 'd'],
    );
    assert.equal(store.entries, 3);
  });

  it('never takes more bytes than it may, whatever comes', () => {
    const bytesMax = 20_000;
    const store = new MemoryStore({ entriesMax: 1_000, bytesMax });
    for (let index = 0; index < 500; index += 1) {
      store.keep(leaseOf(store, `key-${index}`), 'x'.repeat((index * 37) % 3_000), 1_000);
      assert.ok(store.bytes <= bytesMax, `${store.bytes} bytes after ${index}`);
    }
    assert.ok(store.entries > 0);
    store.keep(leaseOf(store, 'huge'), 'x'.repeat(bytesMax), 1_000);
    assert.equal(textOf(store, 'huge'), null);
    store.forget(null);
    assert.deepEqual([store.bytes, store.entries], [0, 0]);
  });

  it('counts what it has: two bytes a character and some for each part', () => {
    const store = new MemoryStore({ entriesMax: 10, bytesMax: 10_000 });
    store.keep(leaseOf(store, 'key'), '12345', 1_000);
    assert.equal(store.bytes, 2 * overheadBytes + 2 * ('key'.length + 'p'.length + 5));
    store.keep(leaseOf(store, 'key', 'q'), '1', 1_000);
    store.forget(['key']);
    assert.deepEqual([store.bytes, store.entries], [0, 0]);
  });

  it('refuses what was read before it had to forget', () => {
    const store = new MemoryStore({ entriesMax: 10, bytesMax: 10_000 });
    const before = leaseOf(store, 'a');
    store.forget(['a']);
    const after = leaseOf(store, 'a');
    assert.equal(store.keep(before, 'old', 1_000), false);
    assert.equal(store.keep(after, 'new', 1_000), true);
    assert.equal(store.keep(before, 'old', 1_000), false);
    assert.equal(textOf(store, 'a'), 'new');
    const everything = leaseOf(store, 'b');
    store.forget(null);
    assert.equal(store.keep(everything, 'old', 1_000), false);
  });

  it('gives those who ask meanwhile the same lease, and a new one after it has forgotten', () => {
    const store = new MemoryStore({ entriesMax: 10, bytesMax: 10_000 });
    const first = leaseOf(store, 'a');
    assert.equal(leaseOf(store, 'a').token, first.token);
    store.forget(['a']);
    assert.notEqual(leaseOf(store, 'a').token, first.token);
  });
});

function leaseOf(store: MemoryStore, key: string, part = 'p'): Lease {
  const looked = store.look({ key, part });
  assert.ok(looked !== null && 'lease' in looked, `${key} is kept`);
  return looked.lease;
}

/** Null: not kept. */
function textOf(store: MemoryStore, key: string): string | null {
  const looked = store.look({ key, part: 'p' });
  return looked !== null && 'text' in looked ? looked.text : null;
}

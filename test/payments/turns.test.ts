import assert from 'node:assert/strict';
import { createTurns } from '../../src/payments/turns.js';

const { signal } = new AbortController();

/** Work that ends when it is told to. */
function work(
  log: string[],
  name: string,
): { readonly run: () => Promise<string>; readonly end: (failure?: Error) => void } {
  let end: (failure?: Error) => void = () => {};
  const ended = new Promise<string>((resolve, reject) => {
    end = (failure) => (failure === undefined ? resolve(name) : reject(failure));
  });
  const run = (): Promise<string> => {
    log.push(name);
    return ended;
  };
  return { run, end: (failure) => end(failure) };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Turns of notices about the same money', () => {
  it('come one after the other for whoever shares a key, at once for the others', async () => {
    const turns = createTurns();
    const log: string[] = [];
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => work(log, name));
    assert.ok(a && b && c && d);
    const all = [
      turns.take(['x'], signal, a.run),
      turns.take(['x', 'y'], signal, b.run),
      turns.take(['y'], signal, c.run),
      turns.take(['z'], signal, d.run),
    ];
    await settled();
    assert.deepEqual(log, ['a', 'd']);
    a.end();
    await settled();
    assert.deepEqual(log, ['a', 'd', 'b']);
    b.end();
    await settled();
    assert.deepEqual(log, ['a', 'd', 'b', 'c']);
    c.end();
    d.end();
    assert.deepEqual(await Promise.all(all), ['a', 'b', 'c', 'd']);
  });

  it('come although the one before has failed', async () => {
    const turns = createTurns();
    const log: string[] = [];
    const [a, b] = [work(log, 'a'), work(log, 'b')];
    const first = turns.take(['x'], signal, a.run);
    const second = turns.take(['x'], signal, b.run);
    a.end(new Error('failed'));
    b.end();
    await assert.rejects(first, /failed/);
    assert.equal(await second, 'b');
  });

  it('pass by whoever has stopped waiting, and the next still waits for the one before', async () => {
    const turns = createTurns();
    const log: string[] = [];
    const [a, b, c] = [work(log, 'a'), work(log, 'b'), work(log, 'c')];
    const impatient = new AbortController();
    const first = turns.take(['x'], signal, a.run);
    const second = turns.take(['x'], impatient.signal, b.run);
    const third = turns.take(['x'], signal, c.run);
    impatient.abort(new Error('enough'));
    await assert.rejects(second, /enough/);
    await settled();
    assert.deepEqual(log, ['a']);
    a.end();
    c.end();
    assert.deepEqual(await Promise.all([first, third]), ['a', 'c']);
    assert.deepEqual(log, ['a', 'c']);
  });
});

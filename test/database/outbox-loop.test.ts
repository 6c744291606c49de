import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import type { Listener } from '../../src/database/database.js';
import { unavailable } from '../../src/database/failures.js';
import { startOutboxLoop, within, type OutboxLoop } from '../../src/database/outbox-loop.js';

describe('The loop of an outbox', () => {
  let listener: Listener | undefined;
  let loop: OutboxLoop;
  let shown: (string | null)[];
  let drains: { readonly resolve: () => void; readonly reject: (error: Error) => void }[];
  let idle: number;

  beforeEach(() => {
    mock.timers.enable({ apis: ['setInterval'] });
    shown = [];
    drains = [];
    idle = 0;
    loop = startOutboxLoop(
      {
        listen: async (channel, heard) => {
          assert.equal(channel, 'things_changed');
          listener = heard;
          return async () => void (listener = undefined);
        },
      },
      {
        channel: 'things_changed',
        drain: () => new Promise((resolve, reject) => drains.push({ resolve, reject })),
        onState: (reason) => shown.push(reason),
        onIdle: () => (idle += 1),
      },
    );
  });
  afterEach(async () => {
    await loop.stop();
    mock.timers.reset();
  });

  /** Of the drain under way. */
  async function end(error?: Error): Promise<void> {
    if (error === undefined) drains.at(-1)?.resolve();
    else drains.at(-1)?.reject(error);
    await settled();
  }

  it('drains at a notice, when the database is back, and each second', async () => {
    listener?.handler('');
    await end();
    listener?.reset();
    await end();
    mock.timers.tick(999);
    assert.equal(drains.length, 2);
    mock.timers.tick(1);
    assert.equal(drains.length, 3);
    await end();
    assert.equal(idle, 3);
  });

  it('drains once more when it was woken meanwhile, however often, and never twice at a time', async () => {
    loop.wake();
    loop.wake();
    listener?.handler('');
    assert.equal(drains.length, 1);
    await end();
    assert.deepEqual([drains.length, idle], [2, 0]);
    await end();
    assert.deepEqual([drains.length, idle], [2, 1]);
  });

  it('shows once that drains fail, and leaves the next attempt to the poll', async () => {
    for (const attempt of [1, 2]) {
      mock.timers.tick(1_000);
      assert.equal(drains.length, attempt);
      await end(new Error('No broker'));
    }
    assert.deepEqual([drains.length, shown], [2, ['No broker']]);
    loop.show(null);
    assert.deepEqual(shown, ['No broker', null]);
  });

  it('begins nothing while paused, and at once afterwards', async () => {
    loop.pause();
    loop.wake();
    mock.timers.tick(5_000);
    assert.deepEqual([drains.length, loop.mayWork(), loop.isPaused], [0, false, true]);
    loop.resume();
    assert.deepEqual([drains.length, loop.mayWork(), loop.isPaused], [1, true, false]);
    loop.pause();
    loop.wake();
    await end();
    assert.equal(drains.length, 1);
    loop.resume();
    assert.equal(drains.length, 2);
    await end();
  });

  it('shows what is wrong with side work, but not that the database is away', async () => {
    const failures = [unavailable(new Error('refused')), new Error('No such table')];
    let times = 0;
    loop.every(5_000, async () => {
      const failure = failures[times++];
      if (failure !== undefined) throw failure;
    });
    await settled();
    assert.deepEqual([times, shown], [1, []]);
    mock.timers.tick(5_000);
    await settled();
    assert.deepEqual([times, shown], [2, ['No such table']]);
    await end();
  });

  it('begins and hears nothing more once stopped, and does not show how the last drain ended', async () => {
    let times = 0;
    loop.every(5_000, async () => void (times += 1));
    loop.wake();
    loop.wake();
    await loop.stop();
    assert.deepEqual([listener, loop.stopping.aborted, loop.mayWork()], [undefined, true, false]);
    await end(new Error('The connection is closed'));
    mock.timers.tick(10_000);
    loop.resume();
    assert.deepEqual([drains.length, times, shown], [1, 1, []]);
    await within(60_000, [loop.running]);
  });

  it('is waited for no longer than the deadline', async () => {
    loop.wake();
    await loop.stop();
    await within(5, [loop.running]);
    assert.equal(idle, 0);
    void end();
    await within(60_000, [loop.running]);
    assert.equal(idle, 1);
  });
});

import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { eventually } from '../support/eventually.js';
import { balance, reading, startLiveHouse, type LiveHouse } from './house.js';

/** Connects, says so, keeps count; ends with the code that it was sent away with. */
async function startListenerProcess(url: string, ...more: string[]): Promise<ChildProcess> {
  const child = fork(resolve(__dirname, 'listener-process.ts'), [url, ...more], {
    execArgv: ['--require', 'tsx/cjs'],
  });
  await once(child, 'message', { signal: AbortSignal.timeout(20_000) });
  return child;
}

describe('a listener that does not read', function () {
  this.timeout(60_000);
  let house: LiveHouse;
  afterEach(() => house.close());

  it('is dropped when more than the limit waits for him; the others hear all of it, and memory stays bounded', async () => {
    house = await startLiveHouse({ limits: { backlogMaxBytes: 262_144 } });
    const asleep = await startListenerProcess(house.url);
    const awake = await house.listen();
    asleep.kill('SIGSTOP');
    const before = process.memoryUsage().arrayBuffers;
    let told = 0;
    await eventually(
      async () => {
        house.tell(...Array.from({ length: 500 }, () => reading('METER001', told++)));
        await awake.hears(told);
        return house.live.hub.members === 1;
      },
      { timeoutMs: 40_000, intervalMs: 1 },
    );
    assert.equal(awake.told.length, told);
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1_048_576);
    // The farewell waits behind what the kernel holds: he hears it when he wakes up soon.
    const gone = once(asleep, 'exit') as Promise<[number]>;
    asleep.kill('SIGCONT');
    const [code] = await gone;
    assert.ok([13, 6].includes(code), `ended with ${1000 + code}`);
  });

  it('is given up when he does not answer pings either', async () => {
    house = await startLiveHouse({ limits: { pingMs: 200, pongMs: 300 } });
    const asleep = await startListenerProcess(house.url);
    await eventually(() => house.live.gateway.clients === 1);
    asleep.kill('SIGSTOP');
    await eventually(() => house.live.gateway.clients === 0);
    asleep.kill('SIGKILL');
    await once(asleep, 'exit');
  });

  it('also while he resumes: nobody waits for what he missed', async () => {
    house = await startLiveHouse({ limits: { backlogMaxBytes: 65_536, resumeStuckMs: 2_000 } });
    const first = await house.listen();
    house.tell(reading('METER001', 0));
    const [{ id = '' } = {}] = await first.hears(1);
    // More than the buffers of both kernels take.
    const note = 'x'.repeat(500);
    house.tell(
      ...Array.from({ length: 45_000 }, () => ({
        ...balance('METER001'),
        data: { meter_id: 'METER001', note },
      })),
    );
    const asleep = await startListenerProcess(`${house.url}?last_event_id=${encodeURIComponent(id)}`, 'deaf');
    await eventually(() => house.live.gateway.clients === 1, { timeoutMs: 20_000 });
    assert.equal((await first.hears(45_001)).length, 45_001);
    asleep.kill('SIGKILL');
    await once(asleep, 'exit');
  });
});

describe('a hundred listeners', function () {
  this.timeout(60_000);

  it('of one process hear a thousand events a second, all of them, each once', async () => {
    const house = await startLiveHouse();
    const listeners = await Promise.all(Array.from({ length: 100 }, () => house.listen()));
    const meters = await Promise.all(
      Array.from({ length: 20 }, (_, number) => house.listen(`?meters=M${number}`)),
    );
    for (let turn = 0; turn < 100; turn++) {
      house.tell(...Array.from({ length: 20 }, (_, number) => reading(`M${number}`, turn)));
      await new Promise((next) => void setImmediate(next));
    }
    for (const listener of listeners) {
      await listener.hears(2_000);
      assert.equal(new Set(listener.told.map(({ id }) => id)).size, 2_000);
    }
    for (const listener of meters) {
      assert.deepEqual(
        (await listener.hears(100)).map(({ data }) => data['kwh_amount']),
        Array.from({ length: 100 }, (_, turn) => turn),
      );
    }
    await house.close();
  });
});

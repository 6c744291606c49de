import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { ThreadSettings } from '../../src/forward/forwarder.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { countIn, startNats, storedIn, type TestNats } from '../support/nats.js';

interface Instance {
  readonly child: ChildProcess;
  written: number;
}

describe('several instances that forward', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let nats: TestNats;
  let instances: Instance[] = [];

  beforeEach(async () => {
    test = await createTestDatabase();
    nats = await startNats();
  });
  afterEach(async () => {
    await Promise.all(instances.map((one) => end(one, 'SIGKILL')));
    instances = [];
    await nats.remove();
    await test.drop();
  });

  it('share the work, and one takes over what another was killed with: all of it, once, in order', async () => {
    const [one, two] = [start('one'), start('two')];
    await eventually(() => assert.ok(one.written > 300 && two.written > 300), { timeoutMs: 20_000 });
    // NATS away for the moment, so that the killed one leaves something behind.
    await nats.stop('SIGKILL');
    const [before, beforeTwo] = [one.written, two.written];
    await eventually(() => assert.ok(one.written > before + 100 && two.written > beforeTwo + 100));
    await end(one, 'SIGKILL');
    await nats.start();
    const after = two.written;
    await eventually(() => assert.ok(two.written > after + 100));
    await end(two, 'SIGTERM');
    await allInOrder();
  });

  it('of one that was killed and comes back, go on with its lane before the new', async () => {
    const first = start('one');
    await eventually(() => assert.ok(first.written > 100), { timeoutMs: 20_000 });
    await nats.stop('SIGKILL');
    const before = first.written;
    await eventually(() => assert.ok(first.written > before + 100));
    await end(first, 'SIGKILL');
    await nats.start();
    const second = start('one');
    await eventually(() => assert.ok(second.written > 100), { timeoutMs: 20_000 });
    await end(second, 'SIGTERM');
    const { rows } = await test.database.query<{ lanes: number }>({
      text: 'select count(*)::int as lanes from forward_lanes',
    });
    assert.equal(rows[0]?.lanes, 1);
    await allInOrder();
  });

  /** What is committed in the journals is in the stream, each message once, and each lane in its order. */
  async function allInOrder(): Promise<void> {
    const { rows } = await test.database.query<{ name: string; total: number }>({
      text: 'select name, total::int from forward_lanes order by name',
    });
    const expected = rows.reduce((sum, { total }) => sum + total, 0);
    const helper = start('helper', 0.001);
    await eventually(async () => assert.ok((await countIn(nats)) >= expected), { timeoutMs: 20_000 });
    await end(helper, 'SIGTERM');
    const stored = await storedIn(nats);
    assert.equal(stored.length, expected);
    for (const { name, total } of rows) {
      const ids = stored
        .filter(({ header }) => header('Meterflow-Device') === name)
        .map(({ header }) => placeOf(header('Nats-Msg-Id')));
      assert.deepEqual(
        ids,
        Array.from({ length: total }, (_, index) => index + 1),
      );
    }
  }

  function start(instance: string, rowsPerSecond = 200): Instance {
    const settings: ThreadSettings & { rowsPerSecond: number } = {
      databaseUrl: test.url,
      address: {
        servers: [nats.url],
        user: '',
        password: '',
        token: '',
        nkey: '',
        credsFile: '',
        caFile: '',
        certFile: '',
        keyFile: '',
      },
      // A window so short that it hides nothing.
      stream: {
        name: 'METERFLOW',
        prefix: 'meterflow',
        maxAgeHours: 1,
        maxBytes: -1,
        replicas: 1,
        duplicateSeconds: 1,
      },
      instance,
      keepHours: 24,
      unforwardedDays: 30,
      passingMax: 100,
      rowsPerSecond,
    };
    const file = resolve(__dirname, '../support/forward-process.ts');
    const child = fork(file, [JSON.stringify(settings)], { execArgv: ['--require', 'tsx/cjs'] });
    const started: Instance = { child, written: 0 };
    child.on('message', ({ written }: { written: number }) => (started.written = written));
    instances.push(started);
    return started;
  }
});

/** `uid:row:index`; a row of these tests has one message. */
function placeOf(id: string): number {
  return Number(id.split(':')[1]);
}

async function end({ child }: Instance, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

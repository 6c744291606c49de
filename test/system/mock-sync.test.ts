import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import { connectAsync, type MqttClient } from 'mqtt';
import { mockPrefix } from '../../src/devices/mock-id.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { startFlow, stopFlow } from '../nodes/flow.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';

const caller = { name: 'test', address: null };

/** Another process, and what it said. */
interface MockProcess {
  readonly child: ChildProcess;
  lines(): string[];
  kill(): Promise<void>;
}

describe('Mock sync with its halves in two Node-RED processes and Mosquitto between them', function () {
  this.timeout(120_000);
  let test: TestDatabase;
  let registry: Registry;
  let mosquitto: Mosquitto;
  let listener: MqttClient;
  const telemetry = new Map<string, number>();
  const processes: MockProcess[] = [];

  before(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    mosquitto = await startMosquitto();
    listener = await connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`);
    listener.on('message', (topic) => telemetry.set(topic, (telemetry.get(topic) ?? 0) + 1));
    await listener.subscribeAsync('devices/+/telemetry');
    // This process is the left half.
    await startFlow([
      { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
      {
        id: 'mqtt',
        type: 'meter-mqtt',
        host: '127.0.0.1',
        port: String(mosquitto.port),
        tls: '',
        clientId: 'left',
      },
      {
        id: 'publisher',
        type: 'device-event-publisher',
        database: 'db',
        mqtt: 'mqtt',
        instance: 'left',
        wires: [[], []],
      },
    ]);
  });
  after(async () => {
    await Promise.all(processes.map((one) => one.kill()));
    await listener.endAsync(true);
    await stopFlow();
    await mosquitto.remove();
    await test.drop();
  });

  async function startMocks(): Promise<MockProcess> {
    const place = {
      database: test.url,
      mqtt: mosquitto.port,
      instance: 'right',
      user: 'anybody',
      password: 'any',
    };
    const file = join(__dirname, '../support/mock-process.ts');
    const child = spawn(process.execPath, ['--require', 'tsx/cjs', file, JSON.stringify(place)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const started: MockProcess = {
      child,
      lines: () => text.split('\n').filter((line) => line !== ''),
      async kill() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      },
    };
    processes.push(started);
    await eventually(() => assert.ok(started.lines().includes('ready')), { timeoutMs: 60_000 });
    return started;
  }

  async function mocks(): Promise<Map<unknown, unknown>> {
    const { rows } = await test.database.query<{ id: string; name: string | null }>({
      text: 'select id, name from devices where mock',
    });
    return new Map(rows.map(({ id, name }) => [id, name]));
  }

  it('follows, catches up after a kill, and takes nothing twice', async () => {
    const right = await startMocks();
    const make = async (name: string) => (await registry.create({ type: 'hvac', name }, caller)).device.id;
    const [one, two] = [await make('one'), await make('two')];
    await eventually(() =>
      assert.deepEqual(right.lines().sort(), [`created ${one}`, `created ${two}`, 'ready'].sort()),
    );
    await registry.update(one, { name: 'uno' }, caller);
    await eventually(() => assert.ok(right.lines().includes(`updated ${one}`)));
    assert.equal((await mocks()).get(mockPrefix + one), 'uno (mock)');
    for (const id of [one, two])
      await eventually(() => assert.ok((telemetry.get(`devices/${mockPrefix}${id}/telemetry`) ?? 0) >= 2));

    await right.kill();
    await registry.remove(two, caller);
    await registry.update(one, { name: 'eins' }, caller);
    const many = await Promise.all(Array.from({ length: 100 }, (_, index) => make(`later ${index}`)));
    // They have left: the broker keeps them for the right half.
    await eventually(async () => {
      const text = 'select from device_events where published_at is null';
      assert.equal((await test.database.query({ text })).rows.length, 0);
    });
    telemetry.clear();
    const again = await startMocks();
    const expected = [
      ...many.map((id) => `created ${id}`),
      `deleted ${two}`,
      `updated ${one}`,
      'ready',
    ].sort();
    await eventually(() => assert.deepEqual(again.lines().sort(), expected), { timeoutMs: 30_000 });
    assert.deepEqual(
      [...(await mocks()).keys()].map(String).sort(),
      [one, ...many].map((id) => mockPrefix + id).sort(),
    );
    assert.equal((await mocks()).get(mockPrefix + one), 'eins (mock)');
    for (const id of [one, ...many])
      await eventually(() => assert.ok((telemetry.get(`devices/${mockPrefix}${id}/telemetry`) ?? 0) > 0));
    assert.equal(telemetry.has(`devices/${mockPrefix}${two}/telemetry`), false);

    // Mosquitto with what it kept, killed and started again: the halves find each other.
    await mosquitto.stop('SIGKILL');
    const late = await make('while the broker was away');
    await mosquitto.start();
    await eventually(() => assert.ok(again.lines().includes(`created ${late}`)), { timeoutMs: 30_000 });
    assert.deepEqual(
      again.lines().filter((line) => !expected.includes(line)),
      [`created ${late}`],
    );
  });
});

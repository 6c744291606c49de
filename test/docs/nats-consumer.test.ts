import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { headers } from '@nats-io/transport-node';
import { jetstream } from '@nats-io/jetstream';
import { subjectOf } from '../../src/forward/subject.js';
import { eventually } from '../support/eventually.js';
import { startNats, withManager, type TestNats } from '../support/nats.js';

const root = resolve(__dirname, '../..');
const doc = readFileSync(join(root, 'docs/protocol.md'), 'utf8');

describe('docs/protocol.md, A consumer', function () {
  this.timeout(60_000);
  let nats: TestNats;
  let folder: string;
  let child: ChildProcess | undefined;

  before(async () => {
    nats = await startNats();
    // Where it finds the packages.
    mkdirSync(join(root, 'artifacts'), { recursive: true });
    folder = mkdtempSync(join(root, 'artifacts', 'consumer-'));
  });
  after(async () => {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
    await nats.remove();
  });

  it('prints meter, topic and content of readings, and goes on where it ended', async () => {
    const program = /```ts\n(\/\/ consume\.ts\n[\s\S]*?)```/.exec(doc)?.[1] ?? assert.fail('no program');
    const file = join(folder, 'consume.ts');
    writeFileSync(file, program);
    await withManager(nats, async (manager, connection) => {
      await manager.streams.add({ name: 'METERFLOW', subjects: ['meterflow.>'] });
      const publish = async (topic: string, payload: string): Promise<void> => {
        const meta = headers();
        meta.set('Meterflow-Meter', 'METER001');
        await jetstream(connection).publish(subjectOf('meterflow', topic), payload, { headers: meta });
      };
      await publish('meters/METER001/readings', '{"kwh_amount":1.25}');
      await publish('smartmeter/METER001/status', '{}');
      await publish('meters/METER.001/readings', '{"kwh_amount":1.5}');
      assert.deepEqual(await linesOf(file, 2), [
        'METER001 meters/METER001/readings {"kwh_amount":1.25}',
        'METER001 meters/METER.001/readings {"kwh_amount":1.5}',
      ]);
      await publish('meters/METER001/readings', '{"kwh_amount":2.5}');
      assert.deepEqual(await linesOf(file, 1), ['METER001 meters/METER001/readings {"kwh_amount":2.5}']);
    });
  });

  async function linesOf(file: string, count: number): Promise<string[]> {
    let said = '';
    const running = spawn(process.execPath, ['--require', 'tsx/cjs', file], {
      cwd: root,
      env: { ...process.env, NATS_URL: nats.url },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = running;
    running.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const lines = (): string[] => said.split('\n').slice(0, -1);
    await eventually(() => assert.ok(lines().length >= count), { timeoutMs: 20_000 });
    // Its acknowledgements are on their way.
    await eventually(() =>
      withManager(nats, async (manager) => {
        const { num_ack_pending } = await manager.consumers.info('METERFLOW', 'billing');
        return num_ack_pending === 0;
      }),
    );
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
    return lines();
  }
});

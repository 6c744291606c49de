import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';
import { Firmware } from '../support/firmware.js';
import { insertMeters, login, Workload } from '../support/workload.js';

const quarterMs = 15 * 60_000;
const hourMs = 60 * 60_000;

/** [M-12] to [M-15]: faults of the gateway itself, of the lines to its meters, and of the people who edit its flows. */
describe('readings while the gateway or its meters are in trouble', function () {
  this.timeout(120_000);
  let folder: string;
  let test: TestDatabase;
  let proxy: FaultProxy;
  let appliance: Appliance;
  let load: Workload | undefined;
  let round = 0;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'meterflow-faults-'));
    test = await createTestDatabase();
    const { hostname, port } = new URL(test.url);
    proxy = await startFaultProxy({ host: hostname, port: Number(port) });
    appliance = await startAppliance({
      env: {
        DATABASE_URL: through(proxy, test.url),
        VIRTUAL_METERS: '0',
        NODE_OPTIONS: `--require ${join(__dirname, '../support/process-faults.cjs')}`,
        FAULT_COMMAND: join(folder, 'command'),
      },
    });
  });

  after(async () => {
    await appliance?.stop();
    await proxy?.close();
    await test?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  afterEach(async () => {
    proxy.pass();
    load?.end();
    load = undefined;
    await fault('clock 0');
  });

  async function meters(
    count: number,
    more: ConstructorParameters<typeof Workload>[3] = {},
  ): Promise<Workload> {
    const names = await insertMeters(test.database, `GATE${++round}`, count);
    load = new Workload(test.database, appliance.mqttPort, names, more);
    return load;
  }

  /** Lets something happen to the process, and waits until it has. */
  async function fault(command: string): Promise<void> {
    const done = `fault done: ${command}`;
    const before = appliance.output().split(done).length;
    writeFileSync(join(folder, 'command'), command);
    appliance.kill('SIGUSR2');
    await eventually(() => assert.ok(appliance.output().split(done).length > before));
  }

  describe('a Deploy in the editor', () => {
    const deploys = [
      { type: 'nodes', what: 'of one node', change: { type: 'reading-store', set: { batchMax: '1500' } } },
      { type: 'flows', what: 'of one tab', change: { type: 'reading-validator', set: { kwhMax: '99' } } },
      { type: 'full', what: 'of everything', change: { type: 'meter-auth-broker', set: { name: 'In' } } },
    ] as const;

    for (const { type, what, change } of deploys) {
      it(`${what}, three times under load, loses nothing and throws nobody out`, async () => {
        const work = await meters(20);
        work.send(150, 4_000);
        await eventually(() => assert.ok(work.acknowledged > 200));
        for (const turn of [1, 2, 3]) {
          await deploy(appliance, type, (nodes) => {
            for (const node of nodes) {
              if (node.type === change.type) Object.assign(node, change.set, { info: `turn ${turn}` });
            }
          });
          await delay(300);
        }
        await work.settled();
        assert.equal(work.reconnectsMax, 0);
      });
    }

    it('that cuts a wire: nothing comes back for ever, and after the repair nothing is missing', async () => {
      let wires: string[][] | undefined;
      const wiresOf = (nodes: FlowNode[], set?: string[][]): void => {
        const validator = nodes.find((node) => node.type === 'reading-validator');
        assert.ok(validator);
        wires ??= validator.wires;
        validator.wires = set ?? [[], validator.wires?.[1] ?? []];
      };
      await deploy(appliance, 'full', (nodes) => {
        wiresOf(nodes);
        deadline(nodes, '1');
      });
      const [name = ''] = await insertMeters(test.database, `GATE${++round}`, 1);
      const meter = new Firmware(login(appliance.mqttPort, name));
      meter.publish(`meters/${name}/readings`, '{"kwh_amount":1,"reading_timestamp":1}');
      const time = Math.floor(Date.now() / quarterMs) * quarterMs;
      meter.publish(`meters/${name}/readings`, `{"kwh_amount":1,"reading_timestamp":${time}}`);
      await eventually(() => assert.equal(meter.unacknowledged, 0), { timeoutMs: 20_000 });
      assert.equal(meter.connects, 3, 'given up twice, and kept the third time');
      const kept = await test.database.query<{ code: string }>({
        text: 'select distinct code from quarantined_messages where meter_id = $1 order by code',
        values: [name],
      });
      assert.deepEqual(
        kept.rows.map(({ code }) => code),
        ['FLOW_UNSETTLED', 'TIMESTAMP_OUT_OF_WINDOW'],
      );
      await deploy(appliance, 'full', (nodes) => {
        wiresOf(nodes, wires);
        deadline(nodes, '15');
      });
      meter.publish(`meters/${name}/readings`, `{"kwh_amount":1,"reading_timestamp":${time - quarterMs}}`);
      await eventually(() => assert.equal(meter.unacknowledged, 0));
      assert.equal(await rows(name), 1);
      meter.end();
    });
  });

  describe('meters that repeat themselves', () => {
    it('send the same readings over two connections at once: each is stored once, both hear so', async () => {
      const [name = ''] = await insertMeters(test.database, `GATE${++round}`, 1);
      const before = await metric(appliance, 'meter_readings_submitted_total{source="mqtt"}');
      const twins = [name, `${name}-2`].map(
        (clientId) => new Firmware({ ...login(appliance.mqttPort, name), clientId }),
      );
      await eventually(() => twins.every(({ online }) => online));
      const newest = Math.floor(Date.now() / quarterMs) * quarterMs;
      for (let n = 0; n < 300; n++) {
        const payload = JSON.stringify({ kwh_amount: 0.5, reading_timestamp: newest - n * quarterMs });
        for (const twin of twins) twin.publish(`meters/${name}/readings`, payload);
      }
      await eventually(() => assert.ok(twins.every(({ unacknowledged }) => unacknowledged === 0)));
      assert.equal(await rows(name), 300);
      const outcomes = (await metric(appliance, 'meter_readings_submitted_total{source="mqtt"}')) - before;
      assert.equal(outcomes, 600, '300 stored and 300 duplicates');
      for (const twin of twins) twin.end();
    });

    it('that never hear the PUBACK of a committed reading send it again: a duplicate, stored once', async () => {
      const line = await startFaultProxy({ host: '127.0.0.1', port: appliance.mqttPort });
      const [name = ''] = await insertMeters(test.database, `GATE${++round}`, 1);
      const meter = new Firmware(login(line.port, name));
      await eventually(() => meter.online);
      line.swallowAnswers();
      const time = Math.floor(Date.now() / quarterMs) * quarterMs;
      meter.publish(`meters/${name}/readings`, `{"kwh_amount":2.5,"reading_timestamp":${time}}`);
      await eventually(async () => assert.equal(await rows(name), 1));
      assert.equal(meter.unacknowledged, 1, 'gone between commit and PUBACK');
      line.cut();
      await delay(100);
      line.pass();
      await eventually(() => assert.equal(meter.unacknowledged, 0));
      assert.equal(await rows(name), 1);
      meter.end();
      await line.close();
    });

    it('reach two instances with the same batch at once: what one stores the other knows', async () => {
      const [name = ''] = await insertMeters(test.database, `GATE${++round}`, 1);
      const newest = Math.floor(Date.now() / quarterMs) * quarterMs;
      const batch = Array.from({ length: 500 }, (_, n) => reading(name, newest - n * quarterMs));
      const instances = [1, 2].map(() =>
        fork(join(__dirname, '../support/writer-process.ts'), [test.url], {
          execArgv: ['--require', 'tsx/cjs'],
        }),
      );
      await Promise.all(instances.map((instance) => once(instance, 'message')));
      const answers = await Promise.all(instances.map((instance) => stores(instance, batch)));
      for (const instance of instances) instance.disconnect();
      const sum = (key: keyof Stored): number => answers.reduce((total, one) => total + one[key], 0);
      assert.deepEqual(
        { stored: sum('stored'), duplicate: sum('duplicate'), rejected: sum('rejected') },
        { stored: 500, duplicate: 500, rejected: 0 },
      );
      assert.equal(await rows(name), 500);
    });
  });

  describe('a gateway whose own process is in trouble', () => {
    for (const hours of [2, -2]) {
      it(`keeps its sessions and its books when its clock jumps by ${hours} h`, async () => {
        const work = await meters(20, { keepAlive: 6, ageMs: 5 * hourMs });
        work.send(100, 4_000);
        await eventually(() => assert.ok(work.acknowledged > 100));
        await fault(`clock ${hours * hourMs}`);
        await work.settled();
        // Once more, while nobody has said anything for a moment; then three rounds of the broker's sweep.
        await delay(600);
        await fault('clock 0');
        await delay(1_500);
        assert.equal(work.reconnectsMax, 0, 'no session takes the jump for silence');
        assert.equal(work.online, 20);
      });
    }

    it('throws nobody out for the 5 s that its event loop was blocked', async () => {
      const work = await meters(20, { keepAlive: 3 });
      work.send(150, 3_000);
      await eventually(() => assert.ok(work.acknowledged > 100));
      await fault('block 5000');
      await work.settled();
      await delay(1_000);
      assert.equal(work.reconnectsMax, 0);
      assert.equal(work.online, 20);
    });

    it('stays within bounds while the database is away for a minute at full load, and then takes it all', async function () {
      this.timeout(240_000);
      // What firmware does: it leaves a broker that does not answer its pings, and has few messages in flight.
      const kinds = [
        { count: 200, keepAlive: 60, window: 60 },
        { count: 200, keepAlive: 30, window: 60 },
        { count: 40, keepAlive: 10, window: 10 },
      ];
      const works: Workload[] = [];
      const sum = (of: (work: Workload) => number): number =>
        works.reduce((total, work) => total + of(work), 0);
      try {
        for (const { count, ...more } of kinds) {
          const names = await insertMeters(test.database, `GATE${++round}`, count);
          works.push(new Workload(test.database, appliance.mqttPort, names, { ...more, needsAnswers: true }));
        }
        await eventually(
          () =>
            assert.equal(
              sum(({ online }) => online),
              440,
            ),
          { timeoutMs: 60_000 },
        );
        for (const work of works) work.send(10, 0);
        for (const work of works) await work.settled();
        const before = residentMegabytes(appliance.pid);
        const away = Date.now();
        proxy.cut();
        for (const work of works) work.send(200, 50_000);
        let most = 0;
        let fullest = 0;
        while (Date.now() - away < 60_000) {
          await delay(1_000);
          most = Math.max(most, residentMegabytes(appliance.pid));
          fullest = Math.max(fullest, await metric(appliance, 'meterflow_inflight'));
        }
        const sent = sum(({ total }) => total);
        assert.equal(
          sum(({ acknowledged }) => acknowledged),
          4_400,
          'nothing is acknowledged that is not committed',
        );
        assert.ok(sent > 60_000, `${sent} messages wait`);
        assert.ok(fullest > 19_000 && fullest <= 20_000, `${fullest} in flight: at the bound, not beyond`);
        assert.ok(most - before < 200, `${before} MB before, ${most} MB while the database is away`);
        proxy.pass();
        // The books too, of each: acknowledged = stored + quarantined + kept, to the message.
        for (const work of works) await work.settled(90_000);
        const reconnects = works.map(({ reconnectsMax }) => reconnectsMax);
        assert.ok(Math.max(...reconnects) <= 2, `at most ${reconnects.join(', ')} reconnects of one meter`);
      } finally {
        for (const work of works) work.end();
      }
    });
  });

  it('2,000 meters dropped at once are all back within 60 s, each with a reading', async () => {
    const work = await meters(2_000);
    await eventually(() => assert.equal(work.online, 2_000), { timeoutMs: 60_000, intervalMs: 100 });
    for (const meter of work.meters) meter.drop();
    await eventually(() => assert.ok(work.online < 1_000));
    const dropped = Date.now();
    for (const index of work.meters.keys()) work.sendNext(index);
    await work.settled(60_000);
    assert.equal(work.online, 2_000);
    assert.ok(Date.now() - dropped < 60_000);
    const { connects } = work.meters.reduce((a, b) => (a.connects > b.connects ? a : b));
    assert.ok(connects <= 3, 'nobody needs more than two attempts to stay');
  });

  async function rows(meter: string): Promise<number> {
    const found = await test.database.query<{ count: number }>({
      text: 'select count(*)::int as count from meter_readings where meter_id = $1',
      values: [meter],
    });
    return found.rows[0]?.count ?? 0;
  }
});

interface FlowNode {
  readonly type: string;
  wires?: string[][];
  [key: string]: unknown;
}

/** What the editor's Deploy button does. */
async function deploy(
  appliance: Appliance,
  type: 'nodes' | 'flows' | 'full',
  edit: (nodes: FlowNode[]) => void,
): Promise<void> {
  const headers = { 'Node-RED-API-Version': 'v2', 'content-type': 'application/json' };
  const present = await fetch(`${appliance.url}/flows`, { headers });
  const { flows, rev } = (await present.json()) as { flows: FlowNode[]; rev: string };
  edit(flows);
  const answer = await fetch(`${appliance.url}/flows`, {
    method: 'POST',
    headers: { ...headers, 'Node-RED-Deployment-Type': type },
    body: JSON.stringify({ flows, rev }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

function deadline(nodes: FlowNode[], seconds: string): void {
  const broker = nodes.find((node) => node.type === 'meter-auth-broker');
  if (broker !== undefined) broker['flowDeadlineSeconds'] = seconds;
}

async function metric(appliance: Appliance, name: string): Promise<number> {
  const answer = await fetch(`${appliance.url}/metrics`);
  const line = (await answer.text()).split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? 0);
}

function residentMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
}

interface Stored {
  readonly stored: number;
  readonly duplicate: number;
  readonly rejected: number;
}

async function stores(instance: ChildProcess, batch: readonly object[]): Promise<Stored> {
  instance.send([...batch]);
  const [answer] = (await once(instance, 'message')) as [Stored];
  return answer;
}

function reading(meter_id: string, time: number): object {
  const place = { delivery: 0, part: 0, device_id: null, user_id: null, topic: '', qos: 0 };
  return { ...place, meter_id, energy: 5000, time, source: 'batch', received_at: time };
}

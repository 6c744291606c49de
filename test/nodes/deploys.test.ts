import { strict as assert } from 'node:assert';
import { deliveries } from '../../src/broker/deliveries.js';
import { metrics } from '../../src/operation/metrics.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';
import { freePort } from '../support/ports.js';
import { insertMeters, Workload } from '../support/workload.js';
import { startFlow, stopFlow, type RunningFlow } from './flow.js';

const quarterMs = 15 * 60_000;

/** Node-RED drops what is sent to a node that a Deploy has taken away and not yet brought back. */
describe('A Deploy while readings come in', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let port: number;
  let running: RunningFlow;
  let work: Workload | undefined;
  let round = 0;
  let proxy: FaultProxy;
  let givenUp: number;

  before(async () => {
    test = await createTestDatabase();
    const { hostname, port: postgres } = new URL(test.url);
    proxy = await startFaultProxy({ host: hostname, port: Number(postgres) });
  });
  after(async () => {
    await proxy?.close();
    await test?.drop();
  });
  beforeEach(async () => {
    port = await freePort();
    running = await startFlow(flow());
    givenUp = deliveries.stats().givenUp;
  });
  afterEach(async () => {
    proxy.pass();
    work?.end();
    await stopFlow();
  });

  const flow = (): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: through(proxy, test.url), connectionsMax: '4' },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      flowDeadlineSeconds: '1',
      wires: [['validator'], ['messages'], []],
    },
    { id: 'validator', type: 'reading-validator', wires: [['store'], ['quarantine']] },
    { id: 'store', type: 'reading-store', database: 'db', wires: [[], [], ['quarantine']] },
    { id: 'messages', type: 'message-store', database: 'db', wires: [[]] },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [[]] },
    { id: 'late', type: 'late', wires: [['store']] },
    { id: 'slow', type: 'slow-to-close' },
  ];

  const deploys = [
    { type: 'nodes', nodes: ['store'] },
    { type: 'nodes', nodes: ['messages', 'quarantine'] },
    { type: 'nodes', nodes: ['validator'] },
    { type: 'nodes', nodes: ['broker'] },
    { type: 'nodes', nodes: ['db'] },
    { type: 'flows', nodes: ['validator'] },
    { type: 'full', nodes: [] },
  ] as const;
  for (const { type, nodes } of deploys) {
    const what = nodes.length > 0 ? `changes ${nodes.join(' and ')}` : 'changes nothing';
    it(`of "${type}" that ${what} loses nothing, doubles nothing and throws nobody out`, async () => {
      work = await meters(10);
      work.send(200, 3_000);
      for (const turn of [1, 2, 3, 4]) {
        const before = work.acknowledged;
        await eventually(() =>
          assert.ok((work?.acknowledged ?? 0) > before, `served after turn ${turn - 1}`),
        );
        const changes = Object.fromEntries([...nodes, 'slow'].map((id) => [id, { info: `turn ${turn}` }]));
        await running.deploy(type, changes);
      }
      await work.settled();
      undisturbed(work);
    });
  }

  it('finds again what was inside another node when the next one was exchanged', async () => {
    await running.deploy('full', { validator: { wires: [['late'], ['quarantine']] } });
    work = await meters(10);
    work.send(100, 1_500);
    await eventually(() => assert.ok((work?.acknowledged ?? 0) > 0));
    for (const turn of [1, 2]) {
      await running.deploy('nodes', { store: { info: `turn ${turn}` }, slow: { info: `turn ${turn}` } });
    }
    await work.settled();
    undisturbed(work);
  });

  for (const type of ['nodes', 'full'] as const) {
    it(`of "${type}" offers anew what the old store held while the database was away`, async () => {
      work = await meters(5);
      proxy.cut();
      work.send(40, 0);
      await eventually(() => assert.ok(deliveries.stats().heldOldestMs > 0));
      await running.deploy(type, { store: { info: 'changed' } });
      proxy.pass();
      await work.settled();
      undisturbed(work);
    });
  }

  it('that mends a wire brings the part of an array that was lost, and that part alone', async () => {
    await running.deploy('full', {
      broker: { flowDeadlineSeconds: '20' },
      validator: { wires: [['store'], []] },
    });
    work = await meters(1);
    const [meter] = work.meters;
    const name = `DEPLOY${round}-0`;
    const time = Math.floor(Date.now() / quarterMs) * quarterMs;
    const readings = [0.5, 0].map((kwh_amount) => ({ kwh_amount, reading_timestamp: time }));
    meter?.publish(`meters/${name}/readings`, JSON.stringify(readings));
    await eventually(async () => assert.equal(await rows('meter_readings', name), 1));
    await eventually(() => assert.equal(deliveries.stats().heldOldestMs, 0, 'the store is done with it'));
    const submitted = await submissions();
    await running.deploy('nodes', { validator: { wires: [['store'], ['quarantine']] } });
    await eventually(() => assert.equal(meter?.unacknowledged, 0));
    assert.equal(await rows('quarantined_messages', name), 1);
    assert.equal(await submissions(), submitted, 'the good part was not brought to the store again');
    undisturbed(work);
  });

  async function meters(count: number): Promise<Workload> {
    const begun = new Workload(
      test.database,
      port,
      await insertMeters(test.database, `DEPLOY${++round}`, count),
    );
    await eventually(() => assert.equal(begun.online, count));
    return begun;
  }

  function undisturbed(load: Workload): void {
    assert.equal(load.reconnectsMax, 0);
    assert.deepEqual(
      { givenUp: deliveries.stats().givenUp, inflight: deliveries.stats().inflight },
      { givenUp, inflight: 0 },
    );
  }

  async function submissions(): Promise<number> {
    const { values } = await metrics.readingsSubmitted.get();
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  async function rows(table: 'meter_readings' | 'quarantined_messages', meter: string): Promise<number> {
    const found = await test.database.query<{ count: number }>({
      text: `select count(*)::int as count from ${table} where meter_id = $1`,
      values: [meter],
    });
    return found.rows[0]?.count ?? 0;
  }
});

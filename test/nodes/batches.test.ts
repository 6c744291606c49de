import { strict as assert } from 'node:assert';
import { getBatch } from '../../src/batches/batch-store.js';
import type { Acceptance, Batch } from '../../src/batches/batch.js';
import { createRegistry } from '../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow } from './flow.js';

const quarterMs = 900_000;
const newest = Math.floor(Date.now() / quarterMs) * quarterMs;

describe('From reading-batch to batch-result', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
    for (const meter_id of ['METER001', 'METER002', 'METER003', 'METER004', 'METER005'])
      await createRegistry(test.database).create(
        { type: 'meter', meter_id },
        { name: 'test', address: null },
      );
  });
  after(() => test.drop());
  afterEach(() => stopFlow());

  const flow = (
    storeWires: string[][] = [['result'], ['result'], ['result']],
  ): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    {
      id: 'accept',
      type: 'reading-batch',
      database: 'db',
      operation: 'operation',
      operationType: 'msg',
      sizeMax: '${BATCH_MAX_SIZE}',
      retriesMax: '2',
      wires: [['answers'], ['answers']],
    },
    {
      id: 'worker',
      type: 'batch-worker',
      database: 'db',
      instance: 'test',
      concurrency: '${BATCH_WORKER_CONCURRENCY}',
      runSeconds: '60',
      wires: [['store'], ['failed']],
    },
    { id: 'store', type: 'reading-store', database: 'db', spacingSeconds: '900', wires: storeWires },
    { id: 'catch', type: 'catch', scope: null, uncaught: false, wires: [['result']] },
    { id: 'result', type: 'batch-result', wires: [['done'], ['other']] },
    { id: 'answers', type: 'helper' },
    { id: 'done', type: 'helper' },
    { id: 'failed', type: 'helper' },
    { id: 'other', type: 'helper' },
  ];

  it('a batch is answered at once, goes through the store, and leaves as done after its commit', async () => {
    const running = await startFlow(flow());
    const readings = [
      ...readingsOf('METER001', 3),
      { meter_id: 'METER001' },
      { ...readingsOf('NOBODY', 1)[0] },
    ];
    running.send('accept', { operation: 'submit', idempotencyKey: 'a', payload: { readings } });
    await eventually(() => running.received('answers').length === 1);
    const [answer] = running.received('answers');
    const accepted = answer?.payload as Acceptance;
    assert.deepEqual([answer?.statusCode, accepted.successful, accepted.failed], [202, 3, 2]);

    await eventually(() => running.received('done').length === 1);
    const batch = running.received('done')[0]?.payload as Batch;
    assert.deepEqual([batch.job_id, batch.state, batch.stored], [accepted.job_id, 'done', 3]);
    running.send('accept', { operation: 'get', payload: { job_id: accepted.job_id } });
    running.send('accept', { operation: 'submit', idempotencyKey: 'a', payload: { readings } });
    running.send('accept', { operation: 'submit', idempotencyKey: 'a', payload: { readings: [{}] } });
    running.send('accept', { operation: 'get', payload: 'nothing' });
    await eventually(() => running.received('answers').length === 5);
    const statuses = running.received('answers').map(({ statusCode }) => statusCode);
    assert.deepEqual(new Set(statuses), new Set([202, 200, 422, 404]));
    assert.ok(running.received('answers').some(({ payload }) => sameAs(payload, batch)));
    await eventually(() => running.status('worker').fill === 'green');
  });

  it('what was under way at a redeploy goes on in the new flow', async () => {
    const running = await startFlow(flow());
    const ids: string[] = [];
    for (const meter of ['METER002', 'METER003'])
      running.send('accept', { operation: 'submit', payload: { readings: readingsOf(meter, 500) } });
    await eventually(() => running.received('answers').length === 2);
    for (const { payload } of running.received('answers')) ids.push((payload as Acceptance).job_id);
    await running.redeploy();
    for (const id of ids) {
      await eventually(async () => {
        const batch = await getBatch(test.database, id);
        assert.deepEqual([batch?.state, batch?.stored, batch?.failed], ['done', 500, 0]);
      });
    }
    const { rows } = await test.database.query<{ n: number }>({
      text: `select count(*)::int as n from meter_readings where meter_id in ('METER002', 'METER003')`,
    });
    assert.equal(rows[0]?.n, 1000);
  });

  it('what comes while a Deploy exchanges the store waits for the new one, and costs no attempt', async () => {
    const running = await startFlow([...flow(), { id: 'slow', type: 'slow-to-close' }]);
    const info = 'changed';
    const deployed = running.deploy('nodes', { store: { info }, slow: { info } });
    running.send('accept', { operation: 'submit', payload: { readings: readingsOf('METER005', 500) } });
    await eventually(() => running.received('answers').length === 1);
    const accepted = running.received('answers')[0]?.payload as Acceptance | undefined;
    await deployed;
    await eventually(() => running.received('done').length === 1);
    const batch = await getBatch(test.database, accepted?.job_id ?? '');
    assert.deepEqual([batch?.state, batch?.stored, batch?.failed, batch?.attempts], ['done', 500, 0, 1]);
  });

  it('an error of the flow is an attempt that failed; messages of no batch pass by', async () => {
    // An accident of the integrator’s: the readings come back as text.
    const running = await startFlow(flow([['accept'], [], []]));
    running.send('result', { payload: 'nothing to do with it', error: { message: 'of a request' } });
    await eventually(() => running.received('other').length === 1);
    running.send('accept', { operation: 'submit', payload: { readings: readingsOf('METER004', 2) } });
    await eventually(() => running.received('answers').length === 1);
    const accepted = running.received('answers')[0]?.payload as Acceptance | undefined;
    const id = accepted?.job_id ?? '';
    await eventually(async () => (await getBatch(test.database, id))?.state === 'retrying');
  });
});

function readingsOf(meter_id: string, count: number): object[] {
  return Array.from({ length: count }, (_, index) => ({
    meter_id,
    kwh_amount: 1.25,
    reading_timestamp: newest - index * quarterMs,
  }));
}

function sameAs(payload: unknown, batch: Batch): boolean {
  return JSON.stringify(payload) === JSON.stringify(batch);
}

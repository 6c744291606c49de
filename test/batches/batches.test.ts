import assert from 'node:assert/strict';
import { acquireQueue, releaseQueue, type Queue } from '../../src/batches/queue.js';
import { runs } from '../../src/batches/runs.js';
import { createSubmissions, type Submissions } from '../../src/batches/submissions.js';
import {
  startBatchWorker,
  type BatchWorker,
  type Task,
  type WorkerOptions,
} from '../../src/batches/worker.js';
import type { Batch } from '../../src/batches/batch.js';
import { openDatabase, type Database } from '../../src/database/database.js';
import { createRegistry } from '../../src/devices/registry.js';
import { isDomainError } from '../../src/errors.js';
import { createValidator } from '../../src/readings/validate.js';
import { createReadingWriter, type ReadingWriter } from '../../src/readings/writer.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { undisturbed } from '../support/undisturbed.js';

const quarterMs = 900_000;
const newest = Math.floor(Date.now() / quarterMs) * quarterMs;
const { signal } = new AbortController();

describe('Batches of readings [H-7]', () => {
  let test: TestDatabase;
  let database: Database;
  let queue: Queue;
  let submissions: Submissions;
  let workers: BatchWorker[] = [];
  let meters = 0;

  before(async () => {
    test = await createTestDatabase();
    database = test.database;
    queue = acquireQueue(database);
    submissions = createSubmissions(database, queue, { validator: createValidator(), retriesMax: 2 });
  });
  after(async () => {
    await releaseQueue(database);
    await test.drop();
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.close()));
    workers = [];
  });

  /** A meter of the registry that has no reading yet. */
  async function newMeter(): Promise<string> {
    meters += 1;
    const meter_id = `METER${meters}`;
    await createRegistry(database).create({ type: 'meter', meter_id }, { name: 'test', address: null });
    return meter_id;
  }

  function submit(readings: readonly unknown[], key?: string): ReturnType<Submissions['submit']> {
    return submissions.submit({ readings }, { caller: 'test', key });
  }

  function work(options: Partial<WorkerOptions> = {}, on: Database = database): BatchWorker {
    const worker = startBatchWorker(on, queue, {
      name: `worker ${workers.length}`,
      onTask: storing(on),
      onFailed: () => undefined,
      ...options,
    });
    workers.push(worker);
    return worker;
  }

  const ended = (job_id: string, timeoutMs = 10_000): Promise<Batch> =>
    eventually(
      async () => {
        const batch = await submissions.get(job_id);
        assert.ok(batch.finished_at !== null, JSON.stringify(batch));
        return batch;
      },
      { timeoutMs },
    );

  async function countOf(meter_id: string): Promise<number> {
    const { rows } = await database.query<{ n: number }>({
      text: 'select count(*)::int as n from meter_readings where meter_id = $1',
      values: [meter_id],
    });
    return rows[0]?.n ?? 0;
  }

  it('are rehearsed at the start without a trace, to the last statement', async () => {
    const heard: string[] = [];
    const stop = await database.listen('reading_batches', {
      handler: (id) => heard.push(id),
      reset: () => {},
    });
    await submissions.rehearse();
    await submissions.rehearse();
    const { rows } = await database.query<{ batches: number; jobs: number }>({
      text: `select (select count(*) from reading_batches)::int as batches, (select count(*) from pgboss.job)::int as jobs`,
    });
    assert.deepEqual(rows, [{ batches: 0, jobs: 0 }]);
    const { job_id } = await submit([reading(await newMeter(), 0)]);
    await eventually(() => assert.deepEqual(heard, [job_id]), { timeoutMs: 5_000 });
    await stop();
    work();
    await ended(job_id);
  });

  it('whose rehearsal fails, fail where a caller hears it', async () => {
    const away = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/nothing', connectionsMax: 1 });
    const alone = createSubmissions(away, acquireQueue(away), { validator: createValidator() });
    await assert.rejects(alone.rehearse(), { code: 'DATABASE_UNAVAILABLE' });
    await releaseQueue(away);
    await away.close();
  });

  it('are judged at once and stored by a worker, failures named by index', async () => {
    const meter = await newMeter();
    const accepted = await submit([
      reading(meter, 0),
      reading(meter, 1, 250),
      reading('NOBODY', 2),
      { meter_id: meter, kwh_amount: '1' },
      reading(meter, 4),
      { ...reading(meter, 4), reading_timestamp: newest - 4 * quarterMs + 60_000 },
      reading(meter, 4),
      null,
    ]);
    assert.deepEqual(
      [accepted.total_submitted, accepted.successful, accepted.failed],
      [8, 4, 4],
      JSON.stringify(accepted),
    );
    assert.deepEqual(
      accepted.errors.map(({ index, meter_id, error }) => [index, meter_id, error]),
      [
        [1, meter, 'KWH_OUT_OF_RANGE'],
        [2, 'NOBODY', 'METER_UNKNOWN'],
        [3, meter, 'SCHEMA_INVALID'],
        [7, null, 'SCHEMA_INVALID'],
      ],
    );
    const queued = await submissions.get(accepted.job_id);
    assert.deepEqual([queued.state, queued.attempts, queued.stored], ['queued', 0, 0]);

    work();
    const done = await ended(accepted.job_id);
    assert.deepEqual([done.state, done.attempts], ['done', 1]);
    assert.deepEqual([done.total_submitted, done.successful, done.failed, done.stored], [8, 3, 5, 3]);
    assert.deepEqual(
      done.errors.map(({ index, error }) => [index, error]),
      [
        [1, 'KWH_OUT_OF_RANGE'],
        [2, 'METER_UNKNOWN'],
        [3, 'SCHEMA_INVALID'],
        [5, 'TOO_CLOSE'],
        [7, 'SCHEMA_INVALID'],
      ],
    );
    assert.equal(await countOf(meter), 2);
  });

  it('of which nothing is valid are done at once', async () => {
    const { job_id } = await submit([reading('NOBODY', 0)]);
    const { state, attempts, failed } = await submissions.get(job_id);
    assert.deepEqual({ state, attempts, failed }, { state: 'done', attempts: 0, failed: 1 });
  });

  const refused: [what: string, body: unknown, code: string][] = [
    ['no body', undefined, 'SCHEMA_INVALID'],
    ['an array', [], 'SCHEMA_INVALID'],
    ['no readings', {}, 'SCHEMA_INVALID'],
    ['an empty list', { readings: [] }, 'SCHEMA_INVALID'],
    ['readings that are no list', { readings: { length: 2 } }, 'SCHEMA_INVALID'],
    ['1,001 readings', { readings: Array.from({ length: 1001 }, () => ({})) }, 'PAYLOAD_TOO_LARGE'],
  ];
  for (const [what, body, code] of refused) {
    it(`refuse ${what} with ${code}`, async () => {
      await assert.rejects(submissions.submit(body, { caller: 'test' }), { code });
    });
  }

  it('that nobody submitted are unknown', async () => {
    for (const id of ['4711', '', '0b9f4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11'])
      await assert.rejects(submissions.get(id), { code: 'BATCH_UNKNOWN' });
  });

  it('are shown to a prosumer who submitted them, and unknown to any other [S-4]', async () => {
    const { job_id } = await submit([{ meter_id: 'NOBODY' }]);
    assert.equal((await submissions.get(job_id, 'test')).job_id, job_id);
    assert.equal((await submissions.get(job_id, null)).job_id, job_id);
    await assert.rejects(
      submissions.get(job_id, 'another'),
      (error) => isDomainError(error) && error.code === 'BATCH_UNKNOWN',
    );
  });

  it('with the same key and readings are one submission with one answer, also when they come at once', async () => {
    const meter = await newMeter();
    const readings = [reading(meter, 0), reading(meter, 1, 250)];
    const answers = await Promise.all(Array.from({ length: 5 }, () => submit(readings, 'key-1')));
    assert.equal(new Set(answers.map(({ job_id }) => job_id)).size, 1);
    work();
    const [first] = answers;
    await ended(first?.job_id ?? '');
    assert.deepEqual(await submit(readings, 'key-1'), first);
    assert.equal(await countOf(meter), 1);

    await assert.rejects(submit([reading(meter, 0)], 'key-1'), { code: 'IDEMPOTENCY_KEY_REUSED' });
    await assert.rejects(submit(readings, 'no spaces'), { code: 'BAD_REQUEST' });
    const other = await submissions.submit({ readings }, { caller: 'somebody else', key: 'key-1' });
    assert.notEqual(other.job_id, first?.job_id);
  });

  it('of 1,000 readings are accepted under 100 ms and stored under a second; ten at once are no problem', async function () {
    this.timeout(30_000);
    work();
    const warm = await submit([reading(await newMeter(), 0)]);
    await ended(warm.job_id);

    const [acceptedMs, storedMs] = await undisturbed(
      async () => {
        const readings = await thousand();
        const from = performance.now();
        const { job_id } = await submit(readings);
        const accepted = performance.now() - from;
        await ended(job_id);
        return [accepted, performance.now() - from] as const;
      },
      ([accepted, stored]) => accepted < 100 && stored < 1_000,
    );
    assert.ok(acceptedMs < 100, `accepted in ${acceptedMs.toFixed()} ms`);
    assert.ok(storedMs < 1_000, `stored in ${storedMs.toFixed()} ms`);

    const lots = await Promise.all(Array.from({ length: 10 }, () => thousand()));
    const begun = performance.now();
    const many = await Promise.all(lots.map((lot) => submit(lot)));
    const batches = await Promise.all(many.map((accepted) => ended(accepted.job_id)));
    assert.ok(batches.every(({ state, stored }) => state === 'done' && stored === 1000));
    const tenMs = performance.now() - begun;
    console.log(
      `      1,000 readings accepted in ${acceptedMs.toFixed()} ms, stored in ${storedMs.toFixed()} ms; 10 × 1,000 in ${tenMs.toFixed()} ms`,
    );
  });

  /** Two meters with 500 quarter hours each. */
  async function thousand(): Promise<object[]> {
    const pair = [await newMeter(), await newMeter()];
    return pair.flatMap((meter) => Array.from({ length: 500 }, (_, index) => reading(meter, index)));
  }

  it('are in the flow as many at a time as the worker may have', async () => {
    const accepted = await Promise.all(
      Array.from({ length: 5 }, async () => submit([reading(await newMeter(), 0)])),
    );
    const tasks: Task[] = [];
    const store = storing(database);
    let most = 0;
    work({
      concurrency: 2,
      onTask: (task) => tasks.push(task),
      onProgress: (now) => (most = Math.max(most, now)),
    });
    await eventually(() => tasks.length === 2);
    let given = 0;
    await eventually(() => {
      for (; given < tasks.length; given++) store(tasks[given] as Task);
      return given === 5;
    });
    await Promise.all(accepted.map(({ job_id }) => ended(job_id)));
    assert.equal(most, 2);
  });

  it('that the flow loses are tried again after ever longer waits, and fail in the end with every reading named', async () => {
    const meter = await newMeter();
    const { job_id } = await submit([reading(meter, 0), reading(meter, 1, 250), reading(meter, 2)]);
    const at: number[] = [];
    const failed: Batch[] = [];
    work({ runMs: 50, onTask: () => at.push(Date.now()), onFailed: (batch) => failed.push(batch) });
    await eventually(async () => (await submissions.get(job_id)).state === 'retrying');
    const batch = await ended(job_id, 20_000);
    assert.deepEqual([batch.state, batch.attempts, batch.successful, batch.failed], ['failed', 3, 0, 3]);
    assert.deepEqual(
      batch.errors.map(({ index, error }) => [index, error]),
      [
        [0, 'FLOW_UNSETTLED'],
        [1, 'KWH_OUT_OF_RANGE'],
        [2, 'FLOW_UNSETTLED'],
      ],
    );
    assert.deepEqual(failed, [batch]);
    const [first = 0, second = 0, third = 0] = at;
    assert.ok(second - first >= 450 && third - second >= 950, at.map((time) => time - first).join());
  });

  it('whose store failed go on with the next attempt, and what was stored before is not stored twice', async () => {
    const meter = await newMeter();
    const { job_id } = await submit([reading(meter, 0), reading(meter, 1)]);
    const store = storing(database);
    work({
      onTask(task) {
        if (task.attempt > 1) return store(task);
        // Half of it is committed before the flow breaks.
        void createReadingWriter(database)
          .store(task.readings.slice(0, 1), { signal })
          .then(() => runs.fail(task.run, new Error('a node broke')));
      },
    });
    const batch = await ended(job_id);
    assert.deepEqual([batch.state, batch.attempts, batch.stored, batch.failed], ['done', 2, 2, 0]);
    assert.equal(await countOf(meter), 2);
  });

  it('go on in the next worker when theirs closes, without a wait', async () => {
    const meter = await newMeter();
    const { job_id } = await submit([reading(meter, 0)]);
    let tasks = 0;
    const old = work({ onTask: () => (tasks += 1) });
    await eventually(() => tasks === 1);
    await old.close();
    assert.equal((await submissions.get(job_id)).state, 'queued');
    work();
    assert.equal((await ended(job_id, 2_000)).state, 'done');
  });

  it('go on at once when the worker of that name starts again after a kill', async () => {
    const meter = await newMeter();
    const { job_id } = await submit([reading(meter, 0)]);
    // What a killed process leaves: claimed in the queue, running in the table.
    await eventually(async () =>
      (await database.transaction((tx) => queue.claim(tx, 1))).some(({ id }) => id === job_id),
    );
    await database.query({
      text: `update reading_batches set state = 'running', attempts = 1, worker = 'killed' where id = $1`,
      values: [job_id],
    });
    work({ name: 'another' });
    await eventually(async () => (await submissions.get(job_id)).state === 'running');
    work({ name: 'killed' });
    const batch = await ended(job_id, 3_000);
    assert.deepEqual([batch.state, batch.attempts, batch.stored], ['done', 2, 1]);
  });

  it('survive connections that break at any moment', async function () {
    this.timeout(30_000);
    const own = openDatabase({ url: test.url, connectionsMax: 4 });
    try {
      work({}, own);
      const accepted = [];
      for (let round = 0; round < 6; round++) {
        const meter = await newMeter();
        accepted.push(await submit(Array.from({ length: 200 }, (_, index) => reading(meter, index))));
        await database.query({
          text: `select pg_terminate_backend(pid) from pg_stat_activity
                  where datname = current_database() and pid <> pg_backend_pid()`,
        });
      }
      for (const { job_id } of accepted) {
        const { state, stored } = await ended(job_id, 20_000);
        assert.deepEqual([state, stored], ['done', 200]);
      }
    } finally {
      await Promise.all(workers.map((worker) => worker.close()));
      workers = [];
      await own.close();
    }
  });

  it('are not submitted while the database is away', async () => {
    const away = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none' });
    const lost = createSubmissions(away, acquireQueue(away), { validator: createValidator() });
    await assert.rejects(lost.submit({ readings: [reading('METER1', 0)] }, { caller: 'test' }), (error) => {
      return isDomainError(error) && error.code === 'DATABASE_UNAVAILABLE';
    });
    await releaseQueue(away);
    await away.close();
  });
});

/** Stands for the flow: reading-store and batch-result. */
function storing(database: Database): (task: Task) => void {
  const writer = createReadingWriter(database);
  return (task) => void storeAndSettle(writer, task);
}

async function storeAndSettle(writer: ReadingWriter, { run, readings }: Task): Promise<void> {
  const { stored, duplicate, rejected } = await writer.store(readings, { signal });
  await Promise.all([
    runs.settle(run, 'stored', stored),
    runs.settle(run, 'stored', duplicate),
    runs.settle(run, 'rejected', rejected),
  ]);
}

/** `quarters` before the last quarter hour. */
function reading(meter_id: string, quarters: number, kwh_amount = 1.25): object {
  return { meter_id, kwh_amount, reading_timestamp: newest - quarters * quarterMs };
}

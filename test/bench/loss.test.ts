import assert from 'node:assert/strict';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startListeningBroker, type ListeningBroker } from '../mocks/listening-broker.js';
import { startLoad, type Load } from './load/load.js';
import { meterIdOf, planFrom } from './load/reading-plan.js';
import { countLost } from './loss.js';

const plan = planFrom(Date.now());
const meters = [0, 1, 2].map((index) => ({ meterId: meterIdOf(index), clientId: meterIdOf(index) }));

describe('The loss that the bench counts', () => {
  let test: TestDatabase;
  let broker: ListeningBroker;
  let load: Load;

  beforeEach(async () => {
    test = await createTestDatabase();
    broker = await startListeningBroker(() => true);
    load = await startLoad({ host: '127.0.0.1', port: broker.port, plan, first: 100, meters });
  });
  afterEach(async () => {
    await load.end();
    await broker.close();
    await test.drop();
  });

  /** Stores what the broker heard, except what `forgets` picks. */
  async function store(forgets: (index: number) => boolean): Promise<void> {
    const kept = broker.heard.filter((_, index) => !forgets(index));
    const { database } = test;
    await database.query({
      text: `select ensure_day_partition('meter_readings', d::date)
             from generate_series(now() - interval '7 days', now(), interval '1 day') as d`,
    });
    await database.query({
      text: `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
             select split_part(topic, '/', 2), kwh, to_timestamp(time / 1000)
             from unnest($1::text[], $2::numeric[], $3::float8[]) as r (topic, kwh, time)`,
      values: [
        kept.map(({ topic }) => topic),
        kept.map(({ payload }) => payload['kwh_amount']),
        kept.map(({ payload }) => payload['reading_timestamp']),
      ],
    });
  }

  it('is none when all that was acknowledged is in the table', async () => {
    const step = await load.step({ mode: 'paced', rate: 300, seconds: 0.5 });
    await store(() => false);
    assert.deepEqual([step.sent, step.acknowledged], [150, 150]);
    assert.deepEqual(await countLost(test.url, plan, step.meters), { lost: 0, examples: [], stored: 150 });
  });

  it('is exactly what a store forgot after it was acknowledged', async () => {
    const step = await load.step({ mode: 'max', window: 8, seconds: 0.3 });
    await store((index) => index % 10 === 3);
    const forgotten = broker.heard.filter((_, index) => index % 10 === 3);
    const { lost, stored, examples } = await countLost(test.url, plan, step.meters);
    assert.ok(forgotten.length > 0);
    assert.deepEqual([lost, stored], [forgotten.length, step.sent - forgotten.length]);
    assert.match(examples[0] ?? '', /^BENCH-0000\d at \d{4}-/);
  });

  it('leaves out what was never acknowledged', async () => {
    broker.silent = true;
    const step = await load.step({ mode: 'paced', rate: 30, seconds: 0.2 });
    assert.deepEqual([step.sent, step.acknowledged], [6, 0]);
    assert.deepEqual(await countLost(test.url, plan, step.meters), { lost: 0, examples: [], stored: 0 });
  });

  it('counts a step by itself', async () => {
    await load.step({ mode: 'paced', rate: 300, seconds: 0.2 });
    broker.heard.length = 0;
    const second = await load.step({ mode: 'paced', rate: 300, seconds: 0.2 });
    await store(() => false);
    assert.deepEqual(await countLost(test.url, plan, second.meters), { lost: 0, examples: [], stored: 60 });
  });

  it('rests on readings that are right: one per second and meter, four decimals, in order', async () => {
    await load.step({ mode: 'paced', rate: 300, seconds: 0.2 });
    const ofOne = broker.heard.filter(({ client }) => client === meterIdOf(1));
    assert.equal(ofOne.length, 20);
    ofOne.forEach(({ topic, qos, payload }, index) => {
      assert.deepEqual([topic, qos], [`meters/${meterIdOf(1)}/readings`, 1]);
      assert.equal(payload['reading_timestamp'], plan.base + (100 + index) * 1000);
      const energy = Number(payload['kwh_amount']);
      assert.ok(energy >= 1 && energy < 2 && Number.isInteger(Math.round(energy * 1e4)));
    });
  });
});

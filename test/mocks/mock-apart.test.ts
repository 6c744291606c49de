import assert from 'node:assert/strict';
import { createAnomalies } from '../../src/anomalies/anomalies.js';
import { createAnomalyWatch } from '../../src/anomalies/watch.js';
import { createPrepaidMeters } from '../../src/balances/prepaid-meters.js';
import { mockPrefix } from '../../src/devices/mock-id.js';
import { metrics } from '../../src/operation/metrics.js';
import { countActiveMeters } from '../../src/readings/active-meters.js';
import { createActivity } from '../../src/readings/activity.js';
import { createReadingQueries } from '../../src/readings/queries.js';
import type { Reading } from '../../src/readings/reading.js';
import { isDomainError } from '../../src/errors.js';
import { eventually } from '../support/eventually.js';
import { caller, startMockHouse, type MockHouse } from './mock-house.js';

describe('A mock stays apart from real meters', () => {
  let house: MockHouse;
  let real: string;
  let mock: string;
  before(async () => {
    house = await startMockHouse();
    const { device } = await house.registry.create({ type: 'meter', meter_id: 'REAL1' }, caller);
    real = 'REAL1';
    mock = mockPrefix + device.id;
    house.world();
    await eventually(async () => assert.equal((await house.mocks()).length, 1));
    await house.rows(`select ensure_day_partition('meter_readings', current_date)`);
    await house.rows(
      `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
       select m, 1, date_trunc('day', now()) from unnest($1::text[]) m`,
      [real, mock],
    );
  });
  after(() => house.close());

  it('in the lists of readings and meters, though its own readings are there for who asks by name', async () => {
    const queries = createReadingQueries(house.test.database);
    const latest = await queries.latest();
    assert.deepEqual([latest.total, latest.data.map(({ meter_id }) => meter_id)], [1, [real]]);
    assert.deepEqual(
      (await queries.meters()).map(({ meter_id }) => meter_id),
      [real],
    );
    assert.equal((await queries.latestOf(mock)).kwh_amount, 1);
    assert.equal((await queries.range(mock)).total, 1);
  });

  it('in the list of prepaid meters', async () => {
    const meters = await createPrepaidMeters(house.test.database, { lowUnits: 10_000 }).list();
    assert.deepEqual([meters.total, meters.data.map(({ meter_id }) => meter_id)], [1, [real]]);
  });

  it('in anomalies: it is neither silent nor an outlier, nor does it hop', async () => {
    const anomalies = createAnomalies(house.test.database);
    assert.deepEqual(
      (await anomalies.lastHeard()).map(({ meter_id }) => meter_id),
      [real],
    );
    assert.deepEqual(
      (await anomalies.lastStored([real, mock])).map(({ meter_id }) => meter_id),
      [real],
    );
    const watch = createAnomalyWatch({ topicsMax: 2 });
    const topics = Array.from({ length: 20 }, (_, i) => `devices/x/${i}`);
    const kept = (meter_id: string) => watch.kept(topics.map((topic) => ({ meter_id, topic })));
    kept(mock);
    assert.deepEqual(watch.take(), []);
    kept(real);
    assert.equal(watch.take().length, 1);
  });

  it('in the count of active meters and in the activity of the dashboard', async () => {
    const reading = (meter_id: string): Reading => ({
      delivery: 0,
      part: 0,
      meter_id,
      device_id: null,
      user_id: null,
      energy: 10_000,
      time: Date.now(),
      source: 'mqtt',
      received_at: Date.now(),
      topic: '',
      qos: 1,
    });
    countActiveMeters([reading('active-1'), reading(mock)]);
    const before = (await metrics.activeMeters.get()).values[0]?.value ?? 0;
    countActiveMeters([reading(mockPrefix + 'another')]);
    assert.equal((await metrics.activeMeters.get()).values[0]?.value, before);
    const activity = createActivity();
    activity.add('stored', [reading(mock), reading(real)]);
    activity.add('stored', [reading(mock)]);
    const { totals, latest } = activity.snapshot();
    assert.deepEqual([totals.stored, latest.map(({ meter_id }) => meter_id)], [1, [real]]);
  });

  it('in money: nobody can pay for it', async () => {
    const found = await house.rows(
      `select count(*)::int as accounts from accounts where meter_id = $1`,
      mock,
    );
    assert.deepEqual(found, [{ accounts: 0 }]);
  });

  it('in names: no real device may be called like one', async () => {
    const refused = house.registry.create({ type: 'meter', meter_id: 'mock-real-mine' }, caller);
    await assert.rejects(refused, (error) => isDomainError(error) && error.code === 'METER_ID_TAKEN');
  });

  it('in ownership: it is in nobody’s own readings', async () => {
    assert.equal((await house.registry.get(mock)).user_id, null);
  });
});

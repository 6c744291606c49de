import assert from 'node:assert/strict';
import { createReadingWriter } from '../../src/readings/writer.js';
import { createStatistics } from '../../src/statistics/statistics.js';
import {
  adoptTimescale,
  findStorage,
  refreshAggregates,
  setRetention,
} from '../../src/statistics/timescale.js';
import { keepUp } from '../../src/statistics/upkeep.js';
import { chanceOf } from '../ledger/chance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { differences } from './plain.js';
import { dayMs, energyReading, register } from './readings.js';
import { standIn } from './timescale-stand-in.js';

const now = Date.UTC(2026, 10, 15, 12);
const { signal } = new AbortController();
const owner = '5a1d3f62-2f0c-4a53-8a0e-6d8a4a2f9b10';

describe('TimescaleDB, as far as plain PostgreSQL can tell', function () {
  this.timeout(60_000);
  let timescale: TestDatabase;
  let partitions: TestDatabase;
  const said: string[] = [];
  before(async () => {
    [timescale, partitions] = [await createTestDatabase(), await createTestDatabase()];
    const as = await standIn(timescale.database, said);
    assert.equal(await timescale.database.transaction((tx) => adoptTimescale(as(tx))), true);
    await setRetention(as(timescale.database), 365, null);
  });
  after(async () => {
    await timescale?.drop();
    await partitions?.drop();
  });

  it('is told nothing that its reference does not know', () => {
    assert.ok(said.some((text) => text.includes('create_hypertable')));
    for (const word of ['add_compression_policy', 'timescaledb.continuous', 'add_retention_policy'])
      assert.ok(
        said.some((text) => text.includes(word)),
        word,
      );
  });

  it('gets tables of the same names, columns, constraints and indexes', async () => {
    const text = `select conrelid::regclass::text as of, conname, pg_get_constraintdef(oid) as is from pg_constraint
                   where conrelid in ('meter_readings'::regclass, 'device_messages'::regclass)
                  union all
                  select attrelid::regclass::text, attname, format_type(atttypid, atttypmod) || attnotnull::text
                    from pg_attribute where attnum > 0
                     and attrelid in ('meter_readings'::regclass, 'device_messages'::regclass)
                  union all
                  select tablename, indexname, replace(indexdef, ' ON ONLY ', ' ON ') from pg_indexes
                   where tablename in ('meter_readings', 'device_messages')
                  order by 1, 2, 3`;
    const [there, here] = [
      await timescale.database.query({ text }),
      await partitions.database.query({ text }),
    ];
    assert.deepEqual(there.rows, here.rows);
    assert.deepEqual(await findStorage(timescale.database), { installed: false, storage: 'hypertables' });
  });

  it('gives the same answers as partitions do', async () => {
    for (const { database } of [timescale, partitions]) {
      await database.query({ text: `insert into users (id, email) values ($1, 'ada')`, values: [owner] });
      await register(database, ['M-1', 'MOCK'], 'MOCK', owner);
      const chance = chanceOf(7);
      const readings = ['M-1', 'MOCK'].flatMap((meter) =>
        Array.from({ length: 30 * 96 }, (_, at) =>
          energyReading(meter, now - at * 900_000, chance.whole(1, 50_000), owner),
        ).filter(() => chance.percent(80)),
      );
      await createReadingWriter(database).store(readings, { signal });
      await database.query({
        text: `update meter_readings set minted = true where extract(minute from reading_timestamp) = 15`,
      });
    }
    const upkeep = keepUp(partitions.database, { now: () => now, everyMs: 1e9, changesEveryMs: 1e9 });
    await upkeep.ready;
    await upkeep.stop();
    await refreshAggregates(timescale.database, '2026-11-07');

    const [there, here] = [timescale, partitions].map(({ database }) =>
      createStatistics(database, () => now),
    );
    for (const time_zone of ['UTC', 'Africa/Nairobi', 'Asia/Kathmandu'])
      assert.deepEqual(await there?.daily('M-1', { time_zone }), await here?.daily('M-1', { time_zone }));
    const hours = await there?.hourly('M-1', { start: now - 30 * dayMs });
    assert.ok((hours?.total ?? 0) > 500);
    assert.deepEqual(hours, await here?.hourly('M-1', { start: now - 30 * dayMs }));
    assert.deepEqual(await there?.hourly('MOCK'), { rows: [], total: 0 });
    assert.deepEqual(await there?.totals({ name: 'ada' }), await here?.totals({ name: 'ada' }));
    for (const { database } of [timescale, partitions])
      for (const unit of ['hour', 'day'] as const) assert.deepEqual(await differences(database, unit), []);
  });

  it('is not taken into use over readings that are there', async () => {
    assert.equal(await partitions.database.transaction(adoptTimescale), false);
    assert.equal((await findStorage(partitions.database)).storage, 'partitions');
  });
});

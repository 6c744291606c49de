import assert from 'node:assert/strict';
import { openDatabase } from '../../src/database/database.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { keepUp, type Upkeep, type UpkeepOptions } from '../../src/statistics/upkeep.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { differences } from './plain.js';
import { dayMs, energyReading, register } from './readings.js';

const now = Date.UTC(2026, 10, 15, 12);
const { signal } = new AbortController();

describe('looking after the tables that grow', function () {
  this.timeout(30_000);
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
    await register(test.database, ['M-1']);
    const readings = Array.from({ length: 30 }, (_, age) => energyReading('M-1', now - age * dayMs, 10_000));
    await createReadingWriter(test.database).store(readings, { signal });
    await test.database.query({
      text: `select ensure_day_partition('device_messages', ($1::date - age)::date) from generate_series(0, 29) age`,
      values: [new Date(now).toISOString().slice(0, 10)],
    });
  });
  afterEach(() => test.drop());

  async function once(options: UpkeepOptions): Promise<void> {
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    const upkeep = keepUp(test.database, {
      now: () => now,
      everyMs: 1e9,
      changesEveryMs: 1e9,
      onError,
      ...options,
    });
    await upkeep.ready;
    await upkeep.stop();
    assert.deepEqual(errors, []);
  }

  const days = async (table: string): Promise<string[]> =>
    (
      await test.database.query<{ day: string }>({
        text: `select day::text as day from day_partitions($1::text::regclass) order by 1`,
        values: [table],
      })
    ).rows.map(({ day }) => day);

  it('drops readings, their statistics and messages at their age, and keeps what is younger', async () => {
    await once({});
    await once({ readingDays: 20, messageDays: 10 });
    assert.deepEqual(
      [(await days('meter_readings'))[0], (await days('device_messages'))[0]],
      ['2026-10-26', '2026-11-05'],
    );
    for (const unit of ['hour', 'day'] as const) assert.deepEqual(await differences(test.database, unit), []);
    const { rows } = await test.database.query({
      text: 'select count(*)::int as days, min(day_bucket) as first from meter_daily_stats',
    });
    assert.deepEqual(rows, [{ days: 21, first: new Date('2026-10-26T00:00:00Z') }]);
  });

  it('keeps everything without an age', async () => {
    await once({ readingDays: null });
    assert.equal((await days('meter_readings')).length, 30);
  });

  it('counts a reading that comes for a dropped day, until that is dropped again', async () => {
    await once({});
    await once({ readingDays: 20 });
    await createReadingWriter(test.database).store([energyReading('M-1', now - 25 * dayMs, 7)], { signal });
    assert.deepEqual(await differences(test.database, 'day'), []);
    await once({});
    assert.deepEqual(await differences(test.database, 'day'), []);
    await once({ readingDays: 20 });
    assert.equal((await days('meter_readings'))[0], '2026-10-26');
    assert.deepEqual(await differences(test.database, 'day'), []);
  });

  it('is one instance’s work at a time', async () => {
    const other = openDatabase({ url: test.url, connectionsMax: 1 });
    try {
      await other.transaction(async (tx) => {
        await tx.query({ text: 'select pg_advisory_xact_lock(1835365477, 100)' });
        await once({ readingDays: 20 });
        assert.equal((await days('meter_readings')).length, 30);
      });
    } finally {
      await other.close();
    }
    await once({ readingDays: 20 });
    assert.equal((await days('meter_readings')).length, 21);
  });

  it('gives way to a long question, and drops the day next time', async () => {
    const other = openDatabase({ url: test.url, connectionsMax: 1 });
    const errors: unknown[] = [];
    const begin = () =>
      keepUp(test.database, {
        now: () => now,
        readingDays: 20,
        everyMs: 1e9,
        changesEveryMs: 1e9,
        onError: (error) => errors.push(error),
      });
    let upkeep: Upkeep | undefined;
    try {
      await other.transaction(async (tx) => {
        await tx.query({ text: 'select count(*) from meter_readings' });
        upkeep = begin();
        await upkeep.ready;
        assert.match(String(errors[0]), /lock timeout/);
        // Whoever waited behind it is let through.
        const late = energyReading('M-1', now - 3_600_000, 1);
        const { stored } = await createReadingWriter(test.database).store([late], { signal });
        assert.equal(stored.length, 1);
      });
      await upkeep?.round();
      assert.equal((await days('meter_readings')).length, 21);
    } finally {
      await upkeep?.stop();
      await other.close();
    }
  });

  it('works off by itself what was noted', async () => {
    const upkeep = keepUp(test.database, { now: () => now, everyMs: 1e9, changesEveryMs: 20 });
    try {
      await upkeep.ready;
      await createReadingWriter(test.database).store([energyReading('M-1', now - 15 * dayMs - 1e6, 3)], {
        signal,
      });
      await eventually(async () => {
        const { rows } = await test.database.query<{ written: string; notes: number }>({
          text: `select sum(reading_count)::text as written, (select count(*)::int from meter_stats_changes) as notes
                   from meter_stats_daily`,
        });
        assert.deepEqual(rows, [{ written: '22', notes: 0 }]);
      });
    } finally {
      await upkeep.stop();
    }
  });
});

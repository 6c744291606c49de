import assert from 'node:assert/strict';
import { isDomainError } from '../../src/errors.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { createStatistics, type Statistics } from '../../src/statistics/statistics.js';
import { keepUp, type Upkeep } from '../../src/statistics/upkeep.js';
import { chanceOf } from '../ledger/chance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { dayMs, energyReading, register } from './readings.js';

/** Sunday; clocks in Berlin went back on the 25th of October. */
const now = Date.UTC(2026, 10, 15, 12);
const quarterMs = 900_000;
const { signal } = new AbortController();
const owner = '5a1d3f62-2f0c-4a53-8a0e-6d8a4a2f9b10';

describe('statistics of a meter', function () {
  this.timeout(30_000);
  let test: TestDatabase;
  let statistics: Statistics;
  let upkeep: Upkeep;
  before(async () => {
    test = await createTestDatabase();
    statistics = createStatistics(test.database, () => now);
    await test.database.query({
      text: `insert into users (id, email) values ($1, 'ada'), (gen_random_uuid(), 'bob')`,
      values: [owner],
    });
    await register(test.database, ['M-1', 'M-2', 'OTHER', 'MOCK', 'SILENT'], 'MOCK', owner);
    await test.database.query({ text: `update devices set drn = '09000030529' where meter_id = 'M-1'` });
    await test.database.query({ text: `update devices set user_id = null where meter_id = 'OTHER'` });
    const writer = createReadingWriter(test.database);
    for (const meter of ['M-1', 'M-2', 'OTHER', 'MOCK']) {
      const user = meter === 'OTHER' ? null : owner;
      const quarters = Array.from({ length: 40 * 96 }, (_, at) => at).filter((at) => at % 11 !== 3);
      const readings = quarters.map((at) =>
        energyReading(meter, now - at * quarterMs, 1 + ((at * 7919) % 12_345), user),
      );
      await writer.store(readings, { signal });
    }
    await test.database.query({
      text: `update meter_readings set minted = true where extract(hour from reading_timestamp) < 6`,
    });
    upkeep = keepUp(test.database, { now: () => now, everyMs: 1e9, changesEveryMs: 1e9 });
    await upkeep.ready;
    // Late, in a day that is written down: of one half of the figures there is a note, of the other none any more.
    await writer.store([energyReading('M-1', now - 20 * dayMs - 8 * quarterMs, 77, owner)], { signal });
    await upkeep.round();
    await writer.store([energyReading('M-1', now - 12 * dayMs - 6 * quarterMs, 99, owner)], { signal });
  });
  after(async () => {
    await upkeep.stop();
    await test.drop();
  });

  it('stands on written days, on noted ones and on readings', async () => {
    const { rows } = await test.database.query({
      text: `select (select sealed_until::text from meter_stats_state) as sealed,
                    (select count(*)::int from meter_stats_changes) as notes,
                    (select count(*) > 700 from meter_stats_hourly where meter_id = 'M-1') as written`,
    });
    assert.deepEqual(rows, [{ sealed: '2026-11-07', notes: 1, written: true }]);
  });

  const zones = [
    'UTC',
    'Africa/Nairobi',
    'Europe/Berlin',
    'Asia/Kathmandu',
    'America/St_Johns',
    'Asia/Beirut',
  ];
  for (const zone of zones) {
    it(`is that of a plain group by, for any span of days in ${zone}`, async () => {
      const chance = chanceOf(zone.length);
      for (let turn = 0; turn < 12; turn += 1) {
        const start = now - chance.whole(0, 45) * dayMs + chance.whole(0, 90_000) * 1_000;
        const end = start + chance.whole(0, 30) * dayMs + chance.whole(1, 90_000) * 1_000;
        const { rows } = await statistics.daily('M-1', { start, end, time_zone: zone });
        assert.deepEqual(
          rows,
          await plain('day', zone, start, end),
          `${new Date(start).toISOString()} ${end - start}`,
        );
      }
    });
  }

  it('is that of a plain group by, for any span of hours', async () => {
    const chance = chanceOf(1);
    for (let turn = 0; turn < 25; turn += 1) {
      const start = now - chance.whole(0, 45 * 24) * 3_600_000 + chance.whole(0, 3_599) * 1_000;
      const end = start + chance.whole(1, 40 * 24) * 1_800_000;
      const { rows } = await statistics.hourly('M-1', { start, end });
      assert.deepEqual(rows, await plain('hour', 'UTC', start, end));
    }
  });

  it('names an hour as the contract does [H-9]', async () => {
    const { rows, total } = await statistics.hourly('09000030529', { start: now - 3_600_000, end: now });
    assert.equal(total, 1);
    assert.deepEqual(Object.keys(rows[0] ?? {}), [
      'hour_bucket',
      'meter_id',
      'reading_count',
      'total_kwh',
      'avg_kwh',
      'min_kwh',
      'max_kwh',
    ]);
    assert.deepEqual([rows[0]?.hour_bucket, rows[0]?.meter_id], ['2026-11-15T11:00:00.000Z', 'M-1']);
  });

  it('says when a day begins and which date it has', async () => {
    const { rows } = await statistics.daily('M-1', {
      start: '2026-10-24T00:00:00Z',
      end: '2026-10-26T12:00:00Z',
      time_zone: 'Europe/Berlin',
    });
    assert.deepEqual(
      rows.map(({ day_bucket, date }) => [date, day_bucket]),
      [
        ['2026-10-24', '2026-10-23T22:00:00.000Z'],
        ['2026-10-25', '2026-10-24T22:00:00.000Z'],
        ['2026-10-26', '2026-10-25T23:00:00.000Z'],
      ],
    );
  });

  it('reaches back 31 days of hours and a year of days by itself', async () => {
    const hours = await statistics.hourly('M-1');
    assert.equal(hours.rows[0]?.hour_bucket, '2026-10-15T12:00:00.000Z');
    assert.equal(hours.rows.at(-1)?.hour_bucket, '2026-11-15T12:00:00.000Z');
    assert.equal((await statistics.daily('M-1')).rows.length, 41);
  });

  it('reaches as far as it may from a start without an end', async () => {
    const { rows } = await statistics.hourly('M-1', { start: now - 390 * dayMs });
    assert.equal(rows.at(-1)?.hour_bucket, '2026-10-22T11:00:00.000Z');
  });

  it('pages, sorts and turns round', async () => {
    const all = await statistics.hourly('M-1');
    const page = await statistics.hourly('M-1', { page: '3', limit: '7' });
    assert.deepEqual(page, { rows: all.rows.slice(14, 21), total: all.rows.length });
    assert.equal((await statistics.hourly('M-1', { page: 2 })).rows.length, 20);
    const most = await statistics.daily('M-1', { sort: 'max_kwh', order: 'desc', limit: 100 });
    const values = most.rows.map(({ max_kwh }) => max_kwh);
    assert.deepEqual(
      values,
      values.toSorted((a, b) => b - a),
    );
    const back = await statistics.daily('M-1', { order: 'desc' });
    assert.deepEqual(back.rows.toReversed(), (await statistics.daily('M-1')).rows);
  });

  it('is empty for mocks, for silent meters, and where nothing was read [L-3]', async () => {
    const nothing = { rows: [], total: 0 };
    assert.deepEqual(await statistics.hourly('MOCK'), nothing);
    assert.deepEqual(await statistics.daily('SILENT'), nothing);
    assert.deepEqual(
      await statistics.daily('M-1', { start: '0100-01-01T00:00:00Z', end: '0101-01-01T00:00:00Z' }),
      nothing,
    );
    assert.deepEqual(await statistics.hourly('M-1', { start: -8.64e15, end: -8.64e15 + 1_000 }), nothing);
    assert.deepEqual(await statistics.hourly('M-1', { start: now, end: now - 1 }), nothing);
    assert.deepEqual(await statistics.daily('M-1', { start: 8.64e15 - dayMs, end: 8.64e15 }), nothing);
  });

  const injections = [
    "hour_bucket'; drop table devices; --",
    'bucket',
    'total_kwh desc',
    '1',
    '(select 1)',
    'Total_kwh',
    'hour_bucket\0',
    ['total_kwh'],
    {},
    true,
  ];
  for (const value of injections)
    for (const field of ['sort', 'order'])
      it(`refuses ${field}=${JSON.stringify(value)}`, () =>
        refused(statistics.hourly('M-1', { [field]: value }), `/${field}`));

  const zonesRefused = [
    "UTC'; drop table devices; --",
    '+03:00',
    '-05:30',
    'Mars/Olympus',
    'UTC\0',
    "'",
    ['UTC'],
    7,
    'x'.repeat(60),
  ];
  for (const zone of zonesRefused)
    it(`refuses time_zone=${JSON.stringify(zone)}`, () =>
      refused(statistics.daily('M-1', { time_zone: zone }), '/time_zone'));

  const others: [what: string, query: object, field: string][] = [
    ['a limit above 100', { limit: 101 }, '/limit'],
    ['more than a year of hours', { start: now - 400 * dayMs, end: now }, '/start'],
    ['a start that is no time', { start: 'yesterday' }, '/start'],
    ['an end that is SQL', { end: "2026-11-15'; select 1" }, '/end'],
  ];
  for (const [what, query, field] of others)
    it(`refuses ${what}`, () => refused(statistics.hourly('M-1', { ...query }), field));

  for (const meter of ['NOBODY', "M-1' or true --", '', 'M-1\0', '%', 'x'.repeat(51)])
    it(`knows no meter ${JSON.stringify(meter)}`, () =>
      assert.rejects(
        statistics.hourly(meter),
        (error) => isDomainError(error) && error.code === 'METER_UNKNOWN',
      ));

  describe('of a user', () => {
    it('counts the readings of the time in which the meters were his, mocks left out [H-9]', async () => {
      // Given away with all its past; what it reads from now on is Bob's.
      await test.database.query({
        text: `update devices set user_id = (select id from users where email = 'bob') where meter_id = 'M-2'`,
      });
      const { rows } = await test.database.query<{ totals: object }>({
        text: `select json_build_object('total_kwh', sum(kwh_amount),
                 'unminted_kwh', sum(kwh_amount) filter (where not minted), 'minted_kwh', sum(kwh_amount) filter (where minted),
                 'total_readings', count(*), 'unminted_readings', count(*) filter (where not minted),
                 'minted_readings', count(*) filter (where minted)) as totals
                 from meter_readings where meter_id in ('M-1', 'M-2') and user_id = $1`,
        values: [owner],
      });
      assert.deepEqual(await statistics.totals({ name: 'ada' }), rows[0]?.totals);
      assert.deepEqual(await statistics.totals({ name: 'key-7', user_id: owner }), rows[0]?.totals);
      assert.equal((await statistics.totals({ name: 'bob' })).total_readings, 0);
      assert.equal((await statistics.totals({ name: 'nobody' })).total_kwh, 0);
    });

    it('hears at once of what is minted in a day that is written down', async () => {
      const before = await statistics.totals({ name: 'ada' });
      const { rowCount } = await test.database.query({
        text: `update meter_readings set minted = true
                where meter_id = 'M-1' and not minted and reading_timestamp < $1::timestamptz`,
        values: [new Date(now - 30 * dayMs).toISOString()],
      });
      const after = await statistics.totals({ name: 'ada' });
      assert.ok(rowCount > 100);
      assert.equal(after.minted_readings, before.minted_readings + rowCount);
      assert.equal(after.total_kwh, before.total_kwh);
      await upkeep.round();
      assert.deepEqual(await statistics.totals({ name: 'ada' }), after);
    });
  });

  async function plain(unit: 'hour' | 'day', zone: string, start: number, end: number): Promise<object[]> {
    const { rows } = await test.database.query<Record<string, unknown>>({
      text: `select b.*, (b.bucket at time zone $2)::date::text as date from (
               select date_trunc($1, reading_timestamp, $2) as bucket, count(*)::int as reading_count,
                      sum(kwh_amount)::float8 as total_kwh, round(avg(kwh_amount), 4)::float8 as avg_kwh,
                      min(kwh_amount)::float8 as min_kwh, max(kwh_amount)::float8 as max_kwh
                 from meter_readings where meter_id = 'M-1' group by 1) b
              where b.bucket >= date_trunc($1, to_timestamp($3::float8 / 1000), $2)
                and b.bucket < to_timestamp($4::float8 / 1000)
              order by 1`,
      values: [unit, zone, start, end],
    });
    return rows.map(({ bucket, date, ...figures }) => {
      const at = (bucket as Date).toISOString();
      const name = unit === 'hour' ? { hour_bucket: at } : { day_bucket: at, date };
      return Object.assign(name, { meter_id: 'M-1' }, figures);
    });
  }
});

function refused(answer: Promise<unknown>, path: string): Promise<void> {
  return assert.rejects(answer, (error) => {
    assert.ok(isDomainError(error), String(error));
    assert.deepEqual([error.code, error.details?.map((detail) => detail.path)], ['SCHEMA_INVALID', [path]]);
    return true;
  });
}

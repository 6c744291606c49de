import assert from 'node:assert/strict';
import { createReadingQueries, type ReadingQueries } from '../../src/readings/queries.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { keepUp, type UpkeepOptions } from '../../src/statistics/upkeep.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { dayMs, energyReading, register } from '../statistics/readings.js';

const today = Math.floor(Date.now() / dayMs) * dayMs;
const { signal } = new AbortController();
const user_id = '6b1d3f62-2f0c-4a53-8a0e-6d8a4a2f9b11';
const ada = { name: 'ada', user_id };

/** A page of readings over days that are written down, a gap, and days that are not. */
describe('pages of readings over a long time', () => {
  let test: TestDatabase;
  let queries: ReadingQueries;
  // Half a day apart: the newest page is found in the last days only when it is small.
  const ages = Array.from({ length: 60 }, (_, index) => index * (dayMs / 2)).filter(
    (age) => age < 3 * dayMs || age > 12 * dayMs,
  );

  before(async () => {
    test = await createTestDatabase();
    queries = createReadingQueries(test.database);
    await test.database.query({
      text: `insert into users (id, email) values ($1, 'ada')`,
      values: [user_id],
    });
    await register(test.database, ['R-1', 'R-2'], null, user_id);
    await register(test.database, ['R-3']);
    const readings = ages.flatMap((age) => [
      energyReading('R-1', today - age, 10_000 + (2 * age) / dayMs, user_id),
      energyReading('R-2', today - age - 3_600_000, 10_000, user_id),
      energyReading('R-3', today - age, 10_000),
    ]);
    await store(readings);
    await keep({});
  });
  after(() => test.drop());

  const store = async (readings: ReturnType<typeof energyReading>[]): Promise<void> => {
    const { stored } = await createReadingWriter(test.database).store(readings, { signal });
    assert.equal(stored.length, readings.length);
  };

  async function keep(options: UpkeepOptions): Promise<void> {
    const upkeep = keepUp(test.database, { everyMs: 1e9, changesEveryMs: 1e9, ...options });
    await upkeep.ready;
    await upkeep.stop();
  }

  /** All pages in a row must be what the table has, whatever way each was found. */
  async function checkPages(): Promise<void> {
    const { rows } = await test.database.query<{ meter_id: string; at: Date }>({
      text: `select meter_id, reading_timestamp as at from meter_readings order by reading_timestamp desc, meter_id`,
    });
    const instants = (meters: readonly string[]): string[] =>
      rows.filter(({ meter_id }) => meters.includes(meter_id)).map(({ at }) => at.toISOString());
    for (const limit of [1, 4, 7, 20, 100]) {
      const ways: [string[], (page: number) => ReturnType<ReadingQueries['own']>][] = [
        [instants(['R-1']), (page) => queries.range('R-1', { page, limit })],
        [instants(['R-1', 'R-2']), (page) => queries.own(ada, { page, limit })],
      ];
      for (const [wanted, ask] of ways) {
        const found: string[] = [];
        for (let page = 1; ; page += 1) {
          const { data, total } = await ask(page);
          assert.equal(total, wanted.length);
          if (data.length === 0) break;
          found.push(...data.map(({ reading_timestamp }) => reading_timestamp));
        }
        assert.deepEqual(found, wanted);
      }
    }
  }

  it('have every reading once, in order, and their right number', checkPages);

  it('count a late reading and a deletion before and after they are written down', async () => {
    await store([energyReading('R-1', today - 20 * dayMs + 7_200_000, 5, user_id)]);
    await test.database.query({
      text: `delete from meter_readings where meter_id = 'R-1' and reading_timestamp = $1::timestamptz`,
      values: [new Date(today - 15 * dayMs).toISOString()],
    });
    const { rows } = await test.database.query({ text: 'select distinct day from meter_stats_changes' });
    assert.equal(rows.length, 2);
    await checkPages();
    await keep({});
    await checkPages();
  });

  it('leave out days that were dropped', async () => {
    await keep({ readingDays: 18 });
    const { total } = await queries.range('R-1', {});
    assert.ok(total > 0 && total < ages.length / 2 + 3, String(total));
    await checkPages();
  });
});

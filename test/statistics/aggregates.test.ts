import assert from 'node:assert/strict';
import { openDatabase, type Database } from '../../src/database/database.js';
import { isDomainError } from '../../src/errors.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { keepUp, type Upkeep } from '../../src/statistics/upkeep.js';
import { chanceOf, type Chance } from '../ledger/chance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { differences } from './plain.js';
import { dayMs, energyReading, register } from './readings.js';

const base = Date.UTC(2026, 9, 1);
const quarterMs = 900_000;
const days = 12;
const meters = ['A', 'B', 'C', 'MOCK'] as const;
const { signal } = new AbortController();

describe('hourly and daily statistics', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`are at every moment what the readings say, whatever is written, changed or dropped (seed ${seed})`, async () => {
      const test = await createTestDatabase({ connectionsMax: 8 });
      const chaos = await begin(test, chanceOf(seed));
      let looks = 0;
      const over = new AbortController();
      const watching = (async () => {
        for (; !over.signal.aborted; looks += 1)
          await assertTrue(test.database, `seed ${seed}, while it happens`);
      })();
      try {
        await Promise.all([watching, chaos.run(120).finally(() => over.abort())]);
        await assertTrue(test.database, `seed ${seed}, afterwards`);
        await chaos.settle();
        const { rows } = await test.database.query<{ written: number; notes: number; sealed: string }>({
          text: `select (select count(*)::int from meter_stats_hourly) as written,
                        (select count(*)::int from meter_stats_changes) as notes,
                        (select sealed_until::text from meter_stats_state) as sealed`,
        });
        assert.ok((rows[0]?.written ?? 0) > 100, JSON.stringify(rows));
        assert.equal(rows[0]?.notes, 0);
        await assertTrue(test.database, `seed ${seed}, all written down`);
        assert.ok(
          looks > 5 && chaos.counts.late > 5 && chaos.counts.changed > 5,
          JSON.stringify(chaos.counts),
        );
      } finally {
        await chaos.close();
        await test.drop();
      }
    }).timeout(60_000);
  }

  it('wait for nobody: today’s readings touch nothing but their own table', async () => {
    const test = await createTestDatabase();
    const upkeep = keepUp(test.database, { now: () => base + days * dayMs });
    try {
      await upkeep.ready;
      const today = base + days * dayMs;
      await createReadingWriter(test.database).store([energyReading('A', today, 5)], { signal });
      const { rows } = await test.database.query({
        text: `select c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid
                where not t.tgisinternal and c.relname ~ '^meter_readings'
                  -- for each row, and by an insert
                  and t.tgtype::int & 1 = 1 and t.tgtype::int & 4 = 4`,
      });
      assert.deepEqual(rows, []);
    } finally {
      await upkeep.stop();
      await test.drop();
    }
  });
});

async function assertTrue(database: Database, when: string): Promise<void> {
  for (const unit of ['hour', 'day'] as const)
    assert.deepEqual(await differences(database, unit), [], `${unit}, ${when}`);
}

/** Two instances look after the tables while readings of all ages come, change and go. */
async function begin(test: TestDatabase, chance: Chance) {
  const counts = { late: 0, changed: 0, killed: 0, refused: 0 };
  let clock = base + 3 * dayMs;
  await register(test.database, meters, 'MOCK');
  const writer = createReadingWriter(test.database, { spacingSeconds: 0 });
  const open = (): { database: Database; upkeep: Upkeep } => {
    const database = openDatabase({ url: test.url, connectionsMax: 2, applicationName: 'upkeep' });
    return {
      database,
      upkeep: keepUp(database, { now: () => clock, sealAfterDays: 1, everyMs: 1e9, changesEveryMs: 1e9 }),
    };
  };
  const instances = [open(), open()];
  await Promise.all(instances.map(({ upkeep }) => upkeep.ready));

  async function step(): Promise<void> {
    const meter = chance.pick(meters);
    const time = base + chance.whole(0, days * 96) * quarterMs;
    const day = new Date(time).toISOString().slice(0, 10);
    const kind = chance.whole(1, 100);
    if (kind <= 55) {
      const readings = Array.from({ length: chance.whole(1, 40) }, (_, index) =>
        energyReading(meter, time + index * quarterMs, chance.whole(1, 90_000)),
      );
      const { stored } = await writer.store(readings, { signal });
      if (time < clock - 2 * dayMs) counts.late += stored.length;
    } else if (kind <= 65) {
      counts.changed += await change(
        `delete from meter_readings where meter_id = $1 and reading_timestamp > $2`,
        [meter, new Date(time).toISOString()],
      );
    } else if (kind <= 75) {
      counts.changed += await change(
        `update meter_readings set kwh_amount = kwh_amount + 0.0001, minted = not minted
          where meter_id = $1 and reading_timestamp >= $2::date and reading_timestamp < $2::date + 1`,
        [meter, day],
      );
    } else if (kind <= 78) {
      // Into another day, and to another meter.
      await change(
        `update meter_readings set meter_id = 'B', reading_timestamp = reading_timestamp - interval '1 day 7 seconds'
          where meter_id = 'A' and reading_timestamp = (select max(reading_timestamp) from meter_readings where meter_id = 'A')`,
        [],
      );
    } else if (kind <= 80) {
      await change(`truncate meter_readings_${day.replaceAll('-', '')}`, []);
    } else if (kind <= 83) {
      await change(`select drop_readings_before($1::date)`, [new Date(base + chance.whole(0, 3) * dayMs)]);
    } else if (kind <= 86) {
      counts.killed += 1;
      await test.database.query({
        text: `select pg_terminate_backend(pid) from pg_stat_activity
                where application_name = 'upkeep' and datname = current_database() and state <> 'idle'`,
      });
    } else {
      clock = Math.min(clock + chance.whole(0, 2) * dayMs, base + (days + 2) * dayMs);
      await chance.pick([instances[0], instances[1]])?.upkeep.round();
    }
  }

  /** What meets a table that is just being made, dropped or guarded may be refused; never half done. */
  async function change(text: string, values: unknown[]): Promise<number> {
    try {
      return (await test.database.query({ text, values })).rowCount;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (!['40P01', '42P01', '23505', '23514', '55P03'].includes(code) && !isDomainError(error)) throw error;
      counts.refused += 1;
      return 0;
    }
  }

  return {
    counts,
    async run(steps: number): Promise<void> {
      for (let done = 0; done < steps;) {
        const together = chance.whole(1, 4);
        await Promise.all(Array.from({ length: together }, step));
        done += together;
      }
    },
    async settle(): Promise<void> {
      await eventually(
        async () => {
          // What came late for a dropped day stays noted until that is dropped again.
          await test.database.query({
            text: `select drop_readings_before(kept_from) from meter_stats_state where isfinite(kept_from)`,
          });
          await instances[0]?.upkeep.round();
          const { rows } = await test.database.query({ text: 'select from meter_stats_changes limit 1' });
          return rows.length === 0;
        },
        { timeoutMs: 20_000 },
      );
    },
    async close(): Promise<void> {
      for (const { upkeep, database } of instances) {
        await upkeep.stop();
        await database.close();
      }
    },
  };
}

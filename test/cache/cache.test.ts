import assert from 'node:assert/strict';
import { changeOf } from '../../src/cache/change.js';
import { changesOf } from '../../src/cache/changes.js';
import type { Database } from '../../src/database/database.js';
import { DomainError } from '../../src/errors.js';
import { createReplay } from '../../src/readings/replay.js';
import { createRegistry } from '../../src/devices/registry.js';
import { markMinted } from '../../src/minting/reading-store.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { keepUp } from '../../src/statistics/upkeep.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { dayMs, energyReading, register } from '../statistics/readings.js';
import { addUser, hearChanges, latest, readSlowly, startInstance, type Instance } from './house.js';

describe('Answers from a cache in the process', () => {
  let test: TestDatabase;
  let here: Instance;
  let there: Instance;
  let user: string;
  let other: string;
  let marks = 0;

  before(async () => {
    test = await createTestDatabase();
    [user, other] = [await addUser(test.database, 'one'), await addUser(test.database, 'two')];
    here = await startInstance('here', test.url);
    there = await startInstance('there', test.url);
    // Each tells the others, once, that it has begun.
    await told();
  });

  after(async () => {
    await Promise.all([here.close(), there.close()]);
    await test.drop();
  });

  /** A meter with one reading; what its registration told of has come everywhere. */
  async function addMeter(name: string, owner: string | null = null): Promise<string> {
    await register(test.database, [name], null, owner);
    await here.write(name, 60, 10_000, owner);
    await told();
    return name;
  }

  /** Until both have heard what the other, and the database, have told up to now. */
  async function told(): Promise<void> {
    const mark = `MARK-${(marks += 1)}`;
    const ears = [here, there].map((instance) => ({ instance, ear: hearChanges(instance) }));
    for (const { instance } of ears)
      instance.changes.committed(changeOf([{ meter_id: `${mark}-${instance.name}`, user_id: null }]));
    await eventually(() =>
      ears.every(({ ear }) => [here, there].every(({ name }) => ear.meters.has(`${mark}-${name}`))),
    );
    for (const { ear } of ears) await ear.stop();
  }

  it('come from the database once, then from the cache, and are the same', async () => {
    const meter = await addMeter('SAME', user);
    const caller = { name: 'one', user_id: user };
    const questions = [
      () => here.answers.latestOf(meter),
      () => here.answers.range(meter),
      () => here.answers.own(caller),
      () => here.answers.totals(caller),
    ] as const;
    for (const ask of questions) {
      const [first, second] = [await ask(), await ask()];
      assert.deepEqual([first.cache, second.cache], ['miss', 'hit']);
      assert.deepEqual(second.answer, first.answer);
    }
    assert.deepEqual((await here.answers.range(meter)).answer, await here.readings.range(meter));
  });

  it('leave alone what has a filter, another order or another page', async () => {
    const meter = await addMeter('FILTERS', user);
    const queries = [
      { page: 2 },
      { limit: '50' },
      { order: 'asc' },
      { sort: 'kwh_amount' },
      { start: '2026-01-01T00:00:00Z' },
      { end: '2027-01-01T00:00:00Z' },
      { source: 'mqtt' },
      { minted: 'false' },
    ];
    for (const query of queries)
      assert.equal((await here.answers.range(meter, query)).cache, null, JSON.stringify(query));
    assert.equal((await here.answers.own({ name: 'one' }, { meter_id: meter })).cache, null);
    assert.equal((await here.answers.range(meter, { page: '1', limit: '20', order: 'desc' })).cache, 'miss');
    await assert.rejects(here.answers.range(meter, { page: 'x' }), { code: 'SCHEMA_INVALID' });
  });

  it('are new after a write, here at once and at the other instance when it has heard of it', async () => {
    const meter = await addMeter('WRITTEN', user);
    const caller = { name: 'one', user_id: user };
    for (const instance of [here, there]) {
      await latest(instance, meter);
      await instance.answers.totals(caller);
      assert.deepEqual(await latest(instance, meter), ['hit', 1]);
    }
    const before = (await here.answers.totals(caller)).answer.total_readings;
    const ear = hearChanges(there);
    await here.write(meter, 30, 20_000, user);
    assert.deepEqual(await latest(here, meter), ['miss', 2]);
    assert.equal((await here.answers.totals(caller)).answer.total_readings, before + 1);
    await eventually(() => ear.meters.has(meter));
    assert.deepEqual(await latest(there, meter), ['miss', 2]);
    assert.equal((await there.answers.totals(caller)).answer.total_readings, before + 1);
    await ear.stop();
  });

  it('are never kept when they were read before a write that came first', async () => {
    const meter = await addMeter('RACE');
    const slow = await readSlowly(here, meter);
    await here.write(meter, 30, 20_000);
    // Who asks after the write does not wait for the old answer, either.
    assert.deepEqual(await latest(here, meter), ['miss', 2]);
    slow.letGo();
    assert.equal(await slow.kwh, 1);
    assert.deepEqual(await latest(here, meter), ['hit', 2]);
  });

  it('are never kept when the write was at another instance', async () => {
    const meter = await addMeter('FAR-RACE');
    const ear = hearChanges(here);
    const slow = await readSlowly(here, meter);
    await there.write(meter, 30, 20_000);
    await eventually(() => ear.meters.has(meter));
    slow.letGo();
    await slow.kwh;
    assert.deepEqual(await latest(here, meter), ['miss', 2]);
    await ear.stop();
  });

  it('ask the database once for 200 callers', async () => {
    let loads = 0;
    const ask = () =>
      here.cache.read({
        type: 'user_stats',
        of: other,
        part: 'crowd',
        load: async () => {
          loads += 1;
          return here.readings.own({ name: 'two', user_id: other });
        },
      });
    const answers = await Promise.all(Array.from({ length: 200 }, ask));
    assert.equal(loads, 1);
    assert.ok(answers.every(({ cache }) => cache === 'miss'));
    assert.equal((await ask()).cache, 'hit');
  });

  it('belong to whoever gets them: changing one changes no other', async () => {
    const meter = await addMeter('MUTABLE');
    const pages = await Promise.all([here.answers.range(meter), here.answers.range(meter)]);
    pages[0].answer.data.length = 0;
    assert.equal(pages[1].answer.data.length, 1);
    const kept = await here.answers.range(meter);
    Object.assign(kept.answer.data[0] ?? {}, { kwh_amount: 999 });
    assert.equal((await here.answers.range(meter)).answer.data[0]?.kwh_amount, 1);
  });

  it('are not kept when they are failures, and each failure is everybody’s who waited', async () => {
    await assert.rejects(here.answers.latestOf('NOBODY'), { code: 'METER_UNKNOWN' });
    await register(test.database, ['NOBODY']);
    await assert.rejects(here.answers.latestOf('NOBODY'), { code: 'NO_READING' });
    await here.write('NOBODY', 10);
    assert.deepEqual(await latest(here, 'NOBODY'), ['miss', 1]);
    let loads = 0;
    const failing = () =>
      here.cache.read({
        type: 'recent_readings',
        of: 'FAILING',
        part: 'latest',
        load: () => Promise.reject(new Error(`failure ${(loads += 1)}`)),
      });
    const both = await Promise.allSettled([failing(), failing()]);
    assert.deepEqual(
      both.map((one) => (one.status === 'rejected' ? String(one.reason) : '')),
      ['Error: failure 1', 'Error: failure 1'],
    );
    await assert.rejects(failing(), { message: 'failure 2' });
  });

  it('never are another user’s', async () => {
    await addMeter('OF-ONE', user);
    const mine = await here.answers.own({ name: 'one', user_id: user });
    assert.ok(mine.answer.total > 0);
    for (const caller of [
      { name: 'two' },
      { name: 'two', user_id: other },
      { name: 'one', user_id: other },
    ]) {
      assert.equal((await here.answers.own(caller)).answer.total, 0);
      assert.equal((await here.answers.totals(caller)).answer.total_readings, 0);
    }
    const nobody = await here.answers.totals({ name: 'nobody' });
    assert.deepEqual([nobody.cache, nobody.answer.total_readings], [null, 0]);
  });

  it('go by the meter_id, also when a drn was asked for', async () => {
    const meter = await addMeter('WITH-DRN');
    await test.database.query({
      text: `update devices set drn = '09000030529' where meter_id = $1`,
      values: [meter],
    });
    await told();
    assert.deepEqual(await latest(here, '09000030529'), ['miss', 1]);
    assert.deepEqual(await latest(here, meter), ['hit', 1]);
    await here.write(meter, 5, 30_000);
    assert.deepEqual(await latest(here, '09000030529'), ['miss', 3]);
  });

  describe('hear of every other way in which they change:', () => {
    const ways: readonly {
      readonly name: string;
      /** What is done, and what the latest reading is afterwards; null: there is none. */
      readonly change: (meter: string) => Promise<unknown>;
      readonly after: number | string;
    }[] = [
      {
        name: 'SQL that inserts',
        change: (meter) =>
          test.database.query({
            text: `insert into meter_readings (meter_id, kwh_amount, reading_timestamp, source)
                   select meter_id, 7, reading_timestamp + interval '1 minute', 'http' from meter_readings where meter_id = $1`,
            values: [meter],
          }),
        after: 7,
      },
      {
        name: 'SQL that corrects',
        change: (meter) =>
          test.database.query({
            text: `update meter_readings set kwh_amount = 5 where meter_id = $1`,
            values: [meter],
          }),
        after: 5,
      },
      {
        name: 'SQL that deletes',
        change: (meter) =>
          test.database.query({ text: 'delete from meter_readings where meter_id = $1', values: [meter] }),
        after: 'NO_READING',
      },
      {
        name: 'a device that is deleted',
        change: (meter) => createRegistry(there.database).remove(meter, { name: 'demo' }),
        after: 'METER_UNKNOWN',
      },
      {
        name: 'days that are dropped for their age',
        async change() {
          const upkeep = keepUp(there.database, {
            readingDays: 1,
            messageDays: null,
            now: () => Date.now() + 30 * dayMs,
          });
          await upkeep.ready;
          await upkeep.stop();
        },
        after: 'NO_READING',
      },
      {
        name: 'SQL that empties the table',
        change: () => test.database.query({ text: 'truncate meter_readings' }),
        after: 'NO_READING',
      },
    ];
    for (const { name, change, after } of ways)
      it(name, async () => {
        const meter = await addMeter(`WAY-${ways.findIndex((way) => way.name === name)}`);
        await latest(here, meter);
        assert.deepEqual(await latest(here, meter), ['hit', 1]);
        await change(meter);
        await eventually(async () => {
          const found = await latest(here, meter).catch((error: unknown) => [null, codeOf(error)]);
          assert.equal(found[1], after);
        });
      });

    it('a mint', async () => {
      const meter = await addMeter('MINTED', other);
      const caller = { name: 'two', user_id: other };
      assert.equal((await here.answers.totals(caller)).answer.minted_readings, 0);
      const { answer } = await here.answers.latestOf(meter);
      await there.database.transaction((tx) =>
        markMinted(tx, { meter_id: meter, reading_timestamp: answer.reading_timestamp }, 'signature'),
      );
      await eventually(async () => (await here.answers.latestOf(meter)).answer.minted);
      await eventually(async () => (await here.answers.totals(caller)).answer.minted_readings === 1);
    });

    it('a replay from quarantine, here at once', async () => {
      const meter = await addMeter('REPLAYED');
      await latest(here, meter);
      const time = new Date(Date.now() - 10 * 60_000).toISOString();
      const { rows } = await test.database.query<{ id: string }>({
        text: `insert into quarantined_messages (device_id, meter_id, topic, qos, code, reason, payload, received_at)
               select d.id, d.meter_id, 'meters/' || $1 || '/readings', 1, 'TOO_CLOSE', '', $2, now()
                 from devices d where d.meter_id = $1 returning id::text`,
        values: [meter, Buffer.from(JSON.stringify({ kwh_amount: 4, reading_timestamp: time }))],
      });
      const unchanged = { time: null, offsetMs: 0, ageMaxDays: null };
      const replayed = await createReplay(here.database)(rows[0]?.id ?? '', unchanged, { name: 'demo' });
      assert.equal(replayed.outcome, 'stored');
      assert.deepEqual(await latest(here, meter), ['miss', 4]);
    });

    it('what was committed by an attempt whose answer got lost', async () => {
      const meter = await addMeter('AGAIN');
      await latest(there, meter);
      const ear = hearChanges(there);
      let losses = 1;
      const lossy: Database = {
        ...here.database,
        async transaction(work, how) {
          const value = await here.database.transaction(work, how);
          if (losses-- > 0) throw new DomainError('DATABASE_UNAVAILABLE', 'The answer got lost.');
          return value;
        },
      };
      // The first word of a process is that everything may have changed.
      changesOf(lossy).committed(changeOf([{ meter_id: 'FIRST', user_id: null }]));
      await eventually(() => ear.meters.has('*'));
      await latest(there, meter);
      const reading = energyReading(meter, Date.now() - 20 * 60_000, 60_000);
      const { duplicate } = await createReadingWriter(lossy).store([reading], {
        signal: AbortSignal.timeout(10_000),
      });
      assert.equal(duplicate.length, 1);
      await eventually(() => ear.meters.has(meter));
      assert.deepEqual(await latest(there, meter), ['miss', 6]);
      await ear.stop();
    });
  });

  it('are not given while changes cannot be heard, and nothing from before comes back', async () => {
    const meter = await addMeter('DEAF');
    await latest(there, meter);
    assert.deepEqual(await latest(there, meter), ['hit', 1]);
    const { rows } = await test.database.query<{ pid: number }>({
      text: `select pid from pg_stat_activity where datname = current_database() and query ~ '^(select 1$|listen)'`,
    });
    assert.ok(rows.length > 0);
    const ear = hearChanges(there);
    for (const { pid } of rows)
      await test.database.query({ text: 'select pg_terminate_backend($1)', values: [pid] });
    await eventually(() => ear.meters.has('*'));
    await eventually(() => there.cache.problem === null);
    assert.equal((await latest(there, meter))[0], 'miss');
    await ear.stop();
  });

  it('have a lifetime each, and none with 0', async () => {
    const meter = await addMeter('TIMED', user);
    let now = 0;
    const timed = await startInstance('timed', test.url, {
      now: () => now,
      lifetimes: { recent_readings: 60, user_stats: 0 },
    });
    try {
      await told();
      assert.deepEqual(await latest(timed, meter), ['miss', 1]);
      now = 59_900;
      assert.deepEqual(await latest(timed, meter), ['hit', 1]);
      now = 60_000;
      assert.deepEqual(await latest(timed, meter), ['miss', 1]);
      const caller = { name: 'one', user_id: user };
      for (let turn = 0; turn < 2; turn += 1) assert.equal((await timed.answers.totals(caller)).cache, null);
    } finally {
      await timed.close();
    }
  });
});

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

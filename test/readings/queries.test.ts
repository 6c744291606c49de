import assert from 'node:assert/strict';
import { isDomainError } from '../../src/errors.js';
import { keepPartitionsAhead } from '../../src/readings/partitions.js';
import { createQuarantine } from '../../src/readings/quarantine.js';
import { createQuarantineDesk } from '../../src/readings/quarantine-desk.js';
import { createReadingQueries, type ReadingQueries } from '../../src/readings/queries.js';
import type { Rejection } from '../../src/readings/reading.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const quarterMs = 900_000;
const last = Math.floor(Date.now() / quarterMs) * quarterMs;
const { signal } = new AbortController();
const ada = { name: 'ada' };

describe('questions about stored readings', () => {
  let test: TestDatabase;
  let queries: ReadingQueries;
  before(async () => {
    test = await createTestDatabase();
    queries = createReadingQueries(test.database);
    await test.database.query({
      text: `insert into devices (meter_id, drn, type, mqtt_user, password_hash, connected_instance)
             values ('Q-1', '09000030529', 'meter', 'Q-1', '', 'here'), ('Q-2', null, 'meter', 'Q-2', '', null),
                    ('Q-NONE', null, 'sensor', 'Q-NONE', '', null)`,
    });
    const ages = Array.from({ length: 200 }, (_, age) => age);
    const readings = [
      ...ages.map((age) => reading('Q-1', last - age * quarterMs, 10_000 + age)),
      reading('Q-2', last - 5 * 86_400_000, 1),
      reading('Q-DELETED', last, 1),
    ];
    assert.equal((await createReadingWriter(test.database).store(readings, { signal })).stored.length, 202);
  });
  after(() => test.drop());

  it('answers the latest reading of every registered meter that has one [H-5]', async () => {
    const { data, ...rest } = await queries.latest();
    assert.deepEqual(rest, { page: 1, limit: 20, total: 2 });
    assert.deepEqual(
      data.map(({ meter_id, kwh_amount }) => [meter_id, kwh_amount]),
      [
        ['Q-1', 1],
        ['Q-2', 0.0001],
      ],
    );
    const second = await queries.latest({ page: '2', limit: '1', sort: 'meter_id', order: 'asc' });
    assert.deepEqual([second.data[0]?.meter_id, second.total], ['Q-2', 2]);
    assert.deepEqual((await queries.latest({ page: 9 })).data, []);
  });

  it('answers to an account the latest readings of its own meters only [S-4]', async () => {
    const { rows } = await test.database.query<{ id: string }>({
      text: `with u as (insert into users (email, role) values ('p1', 'prosumer'), ('p2', 'prosumer') returning id, email),
                  d as (update devices set user_id = (select id from u where email = 'p1') where meter_id = 'Q-2')
             select id::text from u order by email`,
    });
    const [owner, other] = await Promise.all(rows.map(({ id }) => queries.latest({}, id)));
    assert.deepEqual([owner?.data.map(({ meter_id }) => meter_id), owner?.total], [['Q-2'], 1]);
    assert.deepEqual([other?.data, other?.total], [[], 0]);
  });

  it('answers the latest of one meter, by meter_id or drn [H-5]', async () => {
    const latest = await queries.latestOf('09000030529');
    assert.deepEqual(
      [latest.meter_id, latest.kwh_amount, latest.reading_timestamp, latest.source, typeof latest.id],
      ['Q-1', 1, new Date(last).toISOString(), 'mqtt', 'number'],
    );
    assert.match(latest.submitted_at, /^\d{4}-.*Z$/);
  });

  const failures: [what: string, ask: () => Promise<unknown>, code: string][] = [
    ['a meter that nobody knows', () => queries.latestOf('NOBODY'), 'METER_UNKNOWN'],
    ['a deleted meter', () => queries.latestOf('Q-DELETED'), 'METER_UNKNOWN'],
    ['a meter without a reading', () => queries.latestOf('Q-NONE'), 'NO_READING'],
    ['readings of nobody', () => queries.range('NOBODY'), 'METER_UNKNOWN'],
    ['a chart of nobody', () => queries.lastDayOf('NOBODY'), 'METER_UNKNOWN'],
    ['page 0', () => queries.latest({ page: '0' }), 'SCHEMA_INVALID'],
    ['a limit of 101', () => queries.latest({ limit: 101 }), 'SCHEMA_INVALID'],
    ['half a page', () => queries.latest({ page: 1.5 }), 'SCHEMA_INVALID'],
    ['a sort that is SQL', () => queries.latest({ sort: 'id; drop table devices' }), 'SCHEMA_INVALID'],
    ['an order of its own', () => queries.latest({ order: 'random' }), 'SCHEMA_INVALID'],
    ['a source of its own', () => queries.range('Q-1', { source: "mqtt' or true --" }), 'SCHEMA_INVALID'],
    ['perhaps minted', () => queries.range('Q-1', { minted: 'perhaps' }), 'SCHEMA_INVALID'],
    ['a sort of others', () => queries.range('Q-1', { sort: 'meter_id' }), 'SCHEMA_INVALID'],
    [
      'a sort that is SQL, of one’s own',
      () => queries.own(ada, { sort: 'meter_id; select 1' }),
      'SCHEMA_INVALID',
    ],
    ['a start that is no time', () => queries.range('Q-1', { start: 'yesterday' }), 'SCHEMA_INVALID'],
  ];
  for (const [what, ask, code] of failures) {
    it(`refuses ${what} with ${code}`, () =>
      assert.rejects(ask, (error) => isDomainError(error) && error.code === code));
  }

  it('names every field of the query that is wrong', async () => {
    await assert.rejects(queries.range('Q-1', { page: 'x', limit: [], end: {} }), (error) => {
      assert.ok(isDomainError(error));
      assert.deepEqual(
        error.details?.map(({ path }) => path),
        ['/page', '/limit', '/end'],
      );
      return true;
    });
  });

  it('pages the readings of one meter, start included and end not [H-9]', async () => {
    const newest = await queries.range('Q-1', { limit: 3 });
    assert.deepEqual(
      [newest.total, newest.data.map(({ kwh_amount }) => kwh_amount)],
      [200, [1, 1.0001, 1.0002]],
    );
    const oldest = await queries.range('Q-1', { order: 'asc', limit: 1, page: 2 });
    assert.equal(oldest.data[0]?.kwh_amount, 1.0198);
    const start = last - 4 * quarterMs;
    for (const form of [String(start), start / 1000, new Date(start).toISOString(), new Date(start)]) {
      const { data, total } = await queries.range('Q-1', { start: form, end: last });
      assert.deepEqual([total, data.length], [4, 4]);
      assert.equal(data.at(-1)?.reading_timestamp, new Date(start).toISOString());
    }
  });

  it('filters and sorts the readings of one meter', async () => {
    const some = await queries.range('Q-1', {
      sort: 'kwh_amount',
      limit: 2,
      source: 'mqtt',
      minted: 'false',
    });
    assert.deepEqual([some.total, some.data.map(({ kwh_amount }) => kwh_amount)], [200, [1.0199, 1.0198]]);
    assert.equal((await queries.range('Q-1', { source: 'http' })).total, 0);
    assert.equal((await queries.range('Q-1', { minted: true })).total, 0);
    assert.equal((await queries.range('Q-1', { start: '0100-01-01T00:00:00Z', end: 8.64e15 })).total, 200);
    assert.equal((await queries.range('Q-1', { end: -8.64e15 })).total, 0);
  });

  it('finds the latest of a meter that has been silent for long', async () => {
    assert.equal((await queries.latestOf('Q-2')).kwh_amount, 0.0001);
  });

  it('answers one’s own readings, of the time in which the meters were one’s own [H-9]', async () => {
    const user_id = '5a1d3f62-2f0c-4a53-8a0e-6d8a4a2f9b10';
    await test.database.query({
      text: `insert into users (id, email) values ($1, 'ada')`,
      values: [user_id],
    });
    await test.database.query({
      text: `insert into devices (meter_id, type, mqtt_user, password_hash, user_id, mock)
             select m, 'meter', m, '', $1, m = 'OWN-MOCK' from unnest('{OWN-1,OWN-2,OWN-MOCK}'::text[]) m`,
      values: [user_id],
    });
    const readings = ['OWN-1', 'OWN-2', 'OWN-MOCK'].flatMap((meter) =>
      [0, 1, 2].map((age) =>
        Object.assign(reading(meter, last - age * quarterMs, 5), { user_id: age === 2 ? null : user_id }),
      ),
    );
    await createReadingWriter(test.database).store(readings, { signal });
    await test.database.query({ text: `delete from devices where meter_id = 'OWN-2'` });
    const all = await queries.own(ada, { sort: 'meter_id', order: 'asc' });
    assert.deepEqual(
      [all.total, all.data.map(({ meter_id }) => meter_id)],
      [4, ['OWN-1', 'OWN-1', 'OWN-2', 'OWN-2']],
    );
    const newest = await queries.own({ name: 'a-key', user_id }, { limit: 1, meter_id: 'OWN-2' });
    assert.deepEqual([newest.total, newest.data[0]?.reading_timestamp], [2, new Date(last).toISOString()]);
    assert.equal((await queries.own(ada, { meter_id: 'Q-1' })).total, 0);
    assert.equal((await queries.own({ name: 'nobody' })).total, 0);
    await test.database.query({ text: `delete from devices where meter_id ~ '^OWN'` });
  });

  it('draws the last day, oldest first', async () => {
    const points = await queries.lastDayOf('Q-1');
    assert.ok(points.length >= 95 && points.length <= 96, String(points.length));
    assert.equal(points.at(-1)?.reading_timestamp, new Date(last).toISOString());
    assert.deepEqual(await queries.lastDayOf('Q-NONE'), []);
  });

  it('shows every device with its last reading', async () => {
    const meters = await queries.meters();
    assert.deepEqual(
      meters.map(({ meter_id, type, online, kwh_amount }) => [meter_id, type, online, kwh_amount]),
      [
        ['Q-1', 'meter', true, 1],
        ['Q-2', 'meter', false, 0.0001],
        ['Q-NONE', 'sensor', false, null],
      ],
    );
  });

  it('lists quarantined messages, bytes and all [M-14]', async () => {
    const quarantine = createQuarantine(test.database);
    const bytes = Buffer.from([0, 255, 92, 34]);
    const rejections = [
      rejection('Q-1', 'TOO_CLOSE', '{"a":"\\"}'),
      rejection('Q-2', 'SCHEMA_INVALID', bytes),
    ];
    await quarantine.keep(rejections, { signal });
    const desk = createQuarantineDesk(test.database);
    const { data, total } = await desk.list({ meter_id: 'Q-2' });
    assert.equal(total, 1);
    assert.deepEqual(
      data.map(({ code, reason, payload, payload_encoding, received_at }) => [
        code,
        reason,
        payload,
        payload_encoding,
        received_at,
      ]),
      [
        [
          'SCHEMA_INVALID',
          'A "reason" \\ with\uFFFD.',
          bytes.toString('base64'),
          'base64',
          new Date(last).toISOString(),
        ],
      ],
    );
    const listed = await desk.list({ code: 'TOO_CLOSE', limit: '1' });
    assert.deepEqual(
      [listed.total, listed.data[0]?.payload, listed.data[0]?.payload_encoding],
      [1, '{"a":"\\"}', 'utf8'],
    );
  });

  it('makes the partitions of 16 days ahead of need, also by two instances at once', async () => {
    const errors: unknown[] = [];
    const jobs = [1, 2, 3].map(() =>
      keepPartitionsAhead(test.database, {
        now: () => Date.UTC(2030, 0, 10),
        onError: (error) => errors.push(error),
      }),
    );
    await Promise.all(jobs.map(({ ready }) => ready));
    for (const job of jobs) job.stop();
    assert.deepEqual(errors, []);
    const { rows } = await test.database.query<{ name: string }>({
      text: `select relname::text as name from pg_class where relname ~ '_20(29|30)' and relkind = 'r' order by relname`,
    });
    assert.equal(rows.length, 32);
    assert.deepEqual(
      [rows[0]?.name, rows.at(-1)?.name],
      ['device_messages_20300102', 'meter_readings_20300117'],
    );
  });
});

function reading(meter_id: string, time: number, energy: number) {
  return {
    delivery: 0,
    part: 0,
    meter_id,
    device_id: null,
    user_id: null,
    energy,
    time,
    source: 'mqtt' as const,
    received_at: last,
    topic: `meters/${meter_id}/readings`,
    qos: 1 as const,
  };
}

function rejection(meter_id: string, code: string, payload: string | Buffer): Rejection {
  return {
    delivery: 0,
    part: 0,
    device_id: null,
    meter_id,
    topic: 'meters/x/readings',
    qos: 1,
    code,
    payload,
    reason: 'A "reason" \\ with\0.',
    received_at: last,
  };
}

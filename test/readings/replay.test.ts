import assert from 'node:assert/strict';
import { isDomainError } from '../../src/errors.js';
import { createQuarantine } from '../../src/readings/quarantine.js';
import { createQuarantineDesk, type QuarantineDesk } from '../../src/readings/quarantine-desk.js';
import type { Rejection } from '../../src/readings/reading.js';
import type { ReplayOptions } from '../../src/readings/replay.js';
import { createReadingWriter } from '../../src/readings/writer.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const quarterMs = 900_000;
const dayMs = 86_400_000;
/** When the messages came: three days ago, so that every replay is a late one. */
const received = Math.floor((Date.now() - 3 * dayMs) / quarterMs) * quarterMs;
const { signal } = new AbortController();
const operator = { name: 'olga', address: '127.0.0.1' };

/** [M-14]: what was refused can be replayed after a fix, once, and nothing is stored that the rules refuse. */
describe('the replay of quarantined messages', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
    await test.database.query({
      text: `insert into devices (id, meter_id, type, mqtt_user, password_hash)
             values ('dev-1', 'M-1', 'meter', 'M-1', ''), ('dev-2', 'M-2', 'meter', 'M-2', '')`,
    });
  });
  afterEach(() => test.drop());

  const desk = (options: ReplayOptions = {}): QuarantineDesk => createQuarantineDesk(test.database, options);

  async function keep(...rejections: Partial<Rejection>[]): Promise<string[]> {
    await createQuarantine(test.database).keep(
      rejections.map((one) => Object.assign({}, tooOld, one)),
      { signal },
    );
    return values('select id::text from quarantined_messages order by id');
  }
  async function values(text: string): Promise<string[]> {
    const { rows } = await test.database.query<Record<string, string>>({ text });
    return rows.map((row) => String(Object.values(row)[0]));
  }
  const stored = () =>
    values(`select meter_id || ' ' || kwh_amount || ' ' || (extract(epoch from reading_timestamp) * 1000)::bigint
              from meter_readings order by meter_id, reading_timestamp`);
  const rowState = () =>
    values(`select concat_ws(' ', replay_outcome, replay_code, replayed_at is not null)
              from quarantined_messages order by id`);

  it('stores a reading whose clock was wrong under the right time, days later', async () => {
    const [id = ''] = await keep({ payload: json(1.25, 0) });
    const replayed = await desk().replay(id, { reading_timestamp: received }, operator);
    assert.deepEqual([replayed.outcome, replayed.stored, replayed.code], ['stored', 1, null]);
    assert.deepEqual(await stored(), [`M-1 1.2500 ${received}`]);
    assert.deepEqual(await rowState(), ['stored t']);
    const [line] = await values(`select actor || ' ' || details::text from audit_log`);
    assert.match(line ?? '', /^olga .*"outcome": "stored"/);
    assert.match(line ?? '', new RegExp(new Date(received).toISOString().replaceAll('.', '\\.')));
  });

  it('shifts all readings of a message by an offset', async () => {
    const hourMs = 3_600_000;
    const payload = `[${json(1, received + 2 * hourMs)}, ${json(2, received + 2 * hourMs + quarterMs)}]`;
    const [id = ''] = await keep({ payload, code: 'FLOW_UNSETTLED' });
    const replayed = await desk().replay(id, { time_offset_ms: -2 * hourMs - quarterMs }, operator);
    assert.deepEqual([replayed.outcome, replayed.stored], ['stored', 2]);
    assert.deepEqual(await stored(), [`M-1 1.0000 ${received - quarterMs}`, `M-1 2.0000 ${received}`]);
  });

  it('stores what was TOO_CLOSE once the spacing was changed, and refuses it until then', async () => {
    const writer = createReadingWriter(test.database);
    const { stored: before } = await writer.store([readingAt(received)], { signal });
    assert.equal(before.length, 1);
    const [id = ''] = await keep({ payload: json(1, received - 300_000), code: 'TOO_CLOSE' });
    const refused = await desk().replay(id, {}, operator);
    assert.deepEqual([refused.outcome, refused.code], ['refused', 'TOO_CLOSE']);
    assert.deepEqual(await rowState(), ['refused TOO_CLOSE t']);
    const replayed = await desk({ limits: { spacingSeconds: 300 } }).replay(id, {}, operator);
    assert.equal(replayed.outcome, 'stored');
    assert.deepEqual(await rowState(), ['stored t']);
  });

  it('calls a reading that was stored meanwhile a duplicate, and keeps that as the outcome', async () => {
    await createReadingWriter(test.database).store([readingAt(received)], { signal });
    const [id = ''] = await keep({ payload: json(1, received) });
    assert.equal((await desk().replay(id, {}, operator)).outcome, 'duplicate');
    assert.deepEqual(await rowState(), ['duplicate t']);
    await refusal(desk().replay(id, {}, operator), 'MESSAGE_REPLAYED');
  });

  const stillRefused: [title: string, row: Partial<Rejection>, corrections: object, code: string][] = [
    ['another meter’s reading', { payload: json(1, received, 'M-2') }, {}, 'METER_MISMATCH'],
    [
      'a reading that was too old when it came',
      { payload: json(1, received - 8 * dayMs) },
      {},
      'TIMESTAMP_OUT_OF_WINDOW',
    ],
    [
      'a corrected time after the arrival',
      { payload: json(1, 0) },
      { reading_timestamp: received + dayMs },
      'TIMESTAMP_OUT_OF_WINDOW',
    ],
    [
      'a correction into no time at all',
      { payload: json(1, 8.64e15) },
      { time_offset_ms: 1e12 },
      'TIMESTAMP_OUT_OF_WINDOW',
    ],
    ['too much energy', { payload: json(100.5, received) }, {}, 'KWH_OUT_OF_RANGE'],
    ['what is no JSON', { payload: '{"kwh' }, {}, 'SCHEMA_INVALID'],
    ['what is no UTF-8', { payload: Buffer.from([0xff, 0xfe]) }, {}, 'SCHEMA_INVALID'],
    [
      'a meter that is not registered',
      { payload: json(1, received), meter_id: 'GONE', topic: 'meters/GONE/readings' },
      {},
      'METER_UNKNOWN',
    ],
    [
      'a reading over HTTP without a meter',
      { payload: json(1, received), meter_id: null, device_id: null, topic: '' },
      {},
      'SCHEMA_INVALID',
    ],
  ];
  for (const [title, row, corrections, code] of stillRefused) {
    it(`refuses ${title} again with ${code}, and keeps the message as it came`, async () => {
      const [id = ''] = await keep(row);
      const before = await desk().show(id);
      const replayed = await desk().replay(id, corrections, operator);
      assert.deepEqual([replayed.outcome, replayed.code, replayed.stored], ['refused', code, 0]);
      assert.deepEqual(await stored(), []);
      const { replay_outcome, replay_code, replay_reason, replayed_at, ...rest } = await desk().show(id);
      assert.deepEqual([replay_outcome, replay_code, replayed_at], ['refused', code, replayed.replayed_at]);
      assert.match(replay_reason ?? '', /\w\.$/);
      assert.deepEqual(rest, withoutReplay(before));
    });
  }

  it('stores what was too old when the operator widens the window', async () => {
    const [id = ''] = await keep({ payload: json(1, received - 20 * dayMs) });
    assert.equal((await desk().replay(id, { age_max_days: 30 }, operator)).outcome, 'stored');
  });

  it('stores a reading of HTTP, whose meter stands in it alone', async () => {
    const [id = ''] = await keep({
      payload: json(1, received, 'M-2'),
      meter_id: null,
      device_id: null,
      topic: '',
    });
    assert.equal((await desk().replay(id, {}, operator)).outcome, 'stored');
    assert.deepEqual(await stored(), [`M-2 1.0000 ${received}`]);
  });

  for (const topic of ['meters/09000030529/readings', 'meters/LATE/readings', 'devices/dev-late/log']) {
    it(`knows who sent ${topic} once the device is registered`, async () => {
      const nobody = { topic, meter_id: null, device_id: null, code: 'METER_UNKNOWN' };
      const [id = ''] = await keep({ ...nobody, payload: json(1, received) });
      assert.equal((await desk().replay(id, {}, operator)).code, 'METER_UNKNOWN');
      await test.database.query({
        text: `insert into devices (id, meter_id, drn, type, mqtt_user, password_hash)
               values ('dev-late', 'LATE', '09000030529', 'meter', 'LATE', '')`,
      });
      assert.equal((await desk().replay(id, {}, operator)).outcome, 'stored');
      const kept = await values(`select meter_id from meter_readings union all
                                 select meter_id || ' ' || device_id from device_messages`);
      assert.deepEqual(kept, [topic.startsWith('meters') ? 'LATE' : 'LATE dev-late']);
    });
  }

  it('brings a whole message that the flow lost to its tables, and keeps the wrong parts in quarantine', async () => {
    const parts = [json(1, received), json(500, received - quarterMs), json(2, received - 2 * quarterMs)];
    const [id = ''] = await keep({ payload: `[${parts.join(',')}]`, code: 'FLOW_UNSETTLED' });
    const replayed = await desk().replay(id, {}, operator);
    assert.deepEqual(
      [replayed.outcome, replayed.stored, replayed.refused, replayed.code],
      ['stored', 2, 1, 'KWH_OUT_OF_RANGE'],
    );
    const { data } = await desk().list({ replayed: 'no' });
    assert.deepEqual(
      data.map(({ code, part, payload, received_at }) => [code, part, payload, received_at]),
      [['KWH_OUT_OF_RANGE', 1, parts[1], new Date(received).toISOString()]],
    );
  });

  it('brings a message that carries no reading to device_messages', async () => {
    const row = {
      topic: 'meters/M-1/token/response',
      code: 'FLOW_UNSETTLED',
      payload: '{"status":"success"}',
    };
    const [id = ''] = await keep(row);
    await refusal(desk().replay(id, { time_offset_ms: 1 }, operator), 'SCHEMA_INVALID');
    assert.equal((await desk().replay(id, {}, operator)).outcome, 'stored');
    assert.deepEqual(
      await values(`select topic || ' ' || convert_from(payload, 'UTF8') from device_messages`),
      ['meters/M-1/token/response {"status":"success"}'],
    );
    await refusal(desk().replay(id, {}, operator), 'MESSAGE_REPLAYED');
  });

  it('judges signatures over what the meter sent, and stores the corrected time', async () => {
    const seen: number[] = [];
    const options: ReplayOptions = {
      verify: (readings) => {
        seen.push(...readings.map(({ time }) => time));
        return Promise.resolve({ valid: readings, rejected: [] });
      },
    };
    const [id = ''] = await keep({ payload: json(1, 1000) });
    assert.equal(
      (await desk(options).replay(id, { reading_timestamp: received }, operator)).outcome,
      'stored',
    );
    assert.deepEqual(seen, [1_000_000]);
  });

  const wrongRequests: [title: string, body: unknown][] = [
    ['a correction that is not known', { kwh_amount: 2 }],
    ['two corrections of one time', { reading_timestamp: received, time_offset_ms: 5 }],
    ['a time that is none', { reading_timestamp: 'yesterday' }],
    ['an offset that is no number', { time_offset_ms: '5' }],
    ['an offset of a thousand years', { time_offset_ms: 3.2e13 }],
    ['a list', []],
  ];
  for (const [title, body] of wrongRequests) {
    it(`refuses ${title}, and the row stays untouched`, async () => {
      const [id = ''] = await keep({ payload: json(1, received) });
      await refusal(desk().replay(id, body, operator), 'SCHEMA_INVALID');
      assert.deepEqual(await rowState(), ['f']);
    });
  }

  it('refuses one time for a message of several readings', async () => {
    const [id = ''] = await keep({ payload: `[${json(1, 0)},${json(1, 900)}]` });
    await refusal(desk().replay(id, { reading_timestamp: received }, operator), 'SCHEMA_INVALID');
  });

  it('lets one of two operators win who replay the same message at once', async () => {
    const ids = await keep(
      ...Array.from({ length: 10 }, (_, n) => ({ payload: json(1, received - n * quarterMs) })),
    );
    const [one, other] = [desk(), desk()];
    const outcomes = await Promise.all(
      ids.map(async (id) => {
        const both = await Promise.allSettled([one.replay(id, {}, operator), other.replay(id, {}, operator)]);
        return both
          .map((each) => (each.status === 'fulfilled' ? each.value.outcome : codeOf(each.reason)))
          .sort();
      }),
    );
    for (const pair of outcomes) assert.deepEqual(pair, ['MESSAGE_REPLAYED', 'stored']);
    assert.equal((await stored()).length, 10);
  });

  it('leaves a true row when the connection is cut in the middle, and can be repeated', async () => {
    const [id = ''] = await keep({ payload: json(1, received) });
    let replaying: Promise<unknown> = Promise.resolve();
    await test.database.transaction(async (tx) => {
      // Every lock of the writer's: the replay has its row, and waits for its meter.
      await tx.query({
        text: `select count(pg_advisory_xact_lock(x'6d657465'::int, l)) from generate_series(0, 15) l`,
      });
      replaying = desk().replay(id, {}, operator);
      replaying.catch(() => undefined);
      const waiting = `select pid from pg_stat_activity where datname = current_database()
                            and wait_event_type = 'Lock' and query like '%pg_advisory_xact_lock%'`;
      const pid = await eventually(async () => {
        const { rows } = await test.database.query<{ pid: number }>({ text: waiting });
        return rows[0]?.pid ?? false;
      });
      await test.database.query({ text: 'select pg_terminate_backend($1)', values: [pid] });
      await refusal(replaying, 'DATABASE_UNAVAILABLE');
    });
    assert.deepEqual([await rowState(), await stored()], [['f'], []]);
    await test.database.ready(5000);
    assert.equal((await desk().replay(id, {}, operator)).outcome, 'stored');
  });

  describe('of many', () => {
    it('takes what fits the filter, no more than the limit, and says what is left', async () => {
      const good = Array.from({ length: 5 }, (_, n) => ({ payload: json(1, received - n * quarterMs) }));
      await keep(
        ...good,
        { payload: json(500, received - 50 * quarterMs) },
        { payload: json(1, received), meter_id: 'M-2', topic: 'meters/M-2/readings', code: 'TOO_CLOSE' },
      );
      const request = { code: 'TIMESTAMP_OUT_OF_WINDOW', meter_id: 'M-1', limit: 4 };
      const first = await desk().replayMany(request, operator);
      assert.deepEqual([first.matched, first.stored, first.remaining], [6, 4, 2]);
      const second = await desk().replayMany(request, operator);
      assert.deepEqual([second.matched, second.stored, second.refused, second.remaining], [2, 1, 1, 0]);
      assert.deepEqual(
        second.refusals.map(({ code }) => code),
        ['KWH_OUT_OF_RANGE'],
      );
      assert.equal((await stored()).length, 5);
    });

    it('comes to those behind the ones that stay refused', async () => {
      await keep(...[1, 2, 3].map(() => ({ payload: json(500, received) })), { payload: json(1, received) });
      assert.equal((await desk().replayMany({ limit: 3 }, operator)).refused, 3);
      assert.equal((await desk().replayMany({ limit: 3 }, operator)).stored, 1);
    });

    it('sets the clock of one meter only', async () => {
      await refusal(desk().replayMany({ time_offset_ms: 1000 }, operator), 'SCHEMA_INVALID');
      await refusal(desk().replayMany({ limit: 1001 }, operator), 'SCHEMA_INVALID');
      await refusal(desk().replayMany({ meter: 'M-1' }, operator), 'SCHEMA_INVALID');
      await refusal(desk().replayMany({ since: 'monday' }, operator), 'SCHEMA_INVALID');
      await keep({ payload: json(1, received + dayMs) }, { payload: json(1, received + dayMs + quarterMs) });
      const done = await desk().replayMany({ meter_id: 'M-1', time_offset_ms: -2 * dayMs }, operator);
      assert.equal(done.stored, 2);
    });

    it('shares the work of two operators without doing it twice', async () => {
      await keep(...Array.from({ length: 20 }, (_, n) => ({ payload: json(1, received - n * quarterMs) })));
      const [one, other] = await Promise.all([
        desk().replayMany({}, operator),
        desk().replayMany({}, operator),
      ]);
      assert.equal(one.stored + other.stored, 20);
      assert.equal(one.refused + other.refused + one.duplicate + other.duplicate, 0);
      assert.equal((await stored()).length, 20);
    });
  });
});

const tooOld: Rejection = {
  delivery: 0,
  part: 0,
  device_id: 'dev-1',
  meter_id: 'M-1',
  topic: 'meters/M-1/readings',
  qos: 1,
  code: 'TIMESTAMP_OUT_OF_WINDOW',
  reason: 'Too old.',
  payload: '',
  received_at: received,
};

function json(kwh_amount: number, reading_timestamp: number, meter_id?: string): string {
  return JSON.stringify({ kwh_amount, reading_timestamp, meter_id });
}

function readingAt(time: number) {
  const { device_id, topic } = tooOld;
  const place = { delivery: 0, part: 0, device_id, topic, qos: 1 } as const;
  return {
    ...place,
    meter_id: 'M-1',
    user_id: null,
    energy: 10_000,
    time,
    source: 'mqtt',
    received_at: time,
  } as const;
}

function withoutReplay<T extends object>(message: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(message).filter(([key]) => !key.startsWith('replay')),
  ) as Partial<T>;
}

async function refusal(work: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(work, (error) => codeOf(error) === code);
}

function codeOf(error: unknown): string {
  return isDomainError(error) ? error.code : String(error);
}

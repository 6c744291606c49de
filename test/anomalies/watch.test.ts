import assert from 'node:assert/strict';
import { createAnomalies } from '../../src/anomalies/anomalies.js';
import type { Noticed } from '../../src/anomalies/anomaly.js';
import { createAnomalyWatch, type AnomalyWatch } from '../../src/anomalies/watch.js';
import type { SessionEvent } from '../../src/broker/delivery.js';
import { energyOf, quarterIndex, quarterMs } from '../../src/mocks/load-profile.js';
import type { Reading, Rejection } from '../../src/readings/reading.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const minute = 60_000;
const start = Date.parse('2026-11-20T12:00:00Z');

describe('The watch for anomalies [H-23]', () => {
  let now: number;
  let watch: AnomalyWatch;

  beforeEach(() => {
    now = start;
    watch = createAnomalyWatch({ now: () => now });
  });

  /** A reading each quarter hour, and the clock goes on as they do. */
  function uses(meter: string, ...energies: number[]): void {
    for (const energy of energies) {
      watch.stored([reading(meter, energy, now)]);
      if (energies.length > 1) now += 15 * minute;
    }
  }

  const day = (energy: number): number[] => Array.from({ length: 96 }, (_, n) => energy + (n % 7) * 100);

  it('notices a reading far beyond what its meter uses, and not the ordinary evening', () => {
    uses('METER001', ...day(2_500), 6_000);
    assert.deepEqual(watch.take(), []);
    uses('METER001', 800_000);
    assert.deepEqual(kinds(watch.take()), [['consumption_outlier', 'METER001', 1]]);
  });

  it('judges no meter before it knows a day of it, and none by another', () => {
    uses('BIG', ...day(400_000));
    uses('METER001', ...day(2_500).slice(1), 800_000);
    assert.deepEqual(watch.take(), []);
    uses('METER002', ...day(2_500), 800_000);
    assert.deepEqual(kinds(watch.take()), [['consumption_outlier', 'METER002', 1]]);
  });

  it('judges by 24 readings at least', () => {
    const hours = (meter: string, count: number): void => {
      for (let n = 0; n < count; n++) watch.stored([reading(meter, 2_500, start + n * 80 * minute)]);
      watch.stored([reading(meter, 800_000, start + 48 * 60 * minute)]);
    };
    hours('METER001', 23);
    hours('METER002', 24);
    assert.deepEqual(kinds(watch.take()), [['consumption_outlier', 'METER002', 1]]);
  });

  for (const kind of ['household', 'shop', 'mill'] as const) {
    for (const [every, step] of [
      ['quarter hour', quarterMs],
      ['half minute', 30_000],
    ] as const) {
      it(`takes a ${kind}’s days for ordinary, a reading each ${every}, at whatever hour the first one came`, () => {
        for (let hour = 0; hour < 24; hour++) {
          const meterId = `M${hour}`;
          const load = { seed: 1, meterId, kind, scale: 1 };
          for (let at = start + hour * 60 * minute; at < start + (hour + 60) * 60 * minute; at += step) {
            const energy = Math.round((energyOf(load, quarterIndex(at)) * step) / quarterMs);
            watch.stored([reading(meterId, Math.max(1, energy), at)]);
          }
        }
        assert.deepEqual(watch.take(), []);
      });
    }
  }

  it('takes eight outliers in a row for a new habit', () => {
    uses('METER001', ...day(2_500), ...Array.from({ length: 40 }, () => 90_000));
    assert.deepEqual(kinds(watch.take()), [['consumption_outlier', 'METER001', 8]]);
  });

  /** As the database says when nothing else was stored. */
  function takeSilent(heard: number | null = null): unknown[] {
    const quiet = watch.quiet();
    watch.judge(
      quiet,
      quiet.map((meter_id) => ({ meter_id, heard, isTold: false })),
    );
    return kinds(watch.take());
  }

  it('notices once that a meter fell silent, and again after it was back', () => {
    uses('METER001', 2_500);
    watch.remember('OLD', start - 30 * minute);
    now += 31 * minute;
    assert.deepEqual(takeSilent(), [['silent_meter', 'OLD', 1]]);
    now += 30 * minute;
    assert.deepEqual(takeSilent(), [['silent_meter', 'METER001', 1]]);
    now += 600 * minute;
    assert.deepEqual(takeSilent(), []);
    uses('METER001', 2_500);
    now += 60 * minute;
    assert.deepEqual(takeSilent(), [['silent_meter', 'METER001', 1]]);
  });

  it('calls no meter silent that reports through another instance', () => {
    uses('METER001', 2_500);
    now += 61 * minute;
    assert.deepEqual(takeSilent(now - 15 * minute), []);
    now += 44 * minute;
    assert.deepEqual(watch.quiet(), [], 'not asked for again before its time');
    now += 2 * minute;
    assert.deepEqual(takeSilent(), [['silent_meter', 'METER001', 1]]);
  });

  it('says nothing of a meter that was removed, nor what another instance has said', () => {
    uses('GONE', 2_500);
    uses('TOLD', 2_500);
    now += 61 * minute;
    watch.judge(watch.quiet(), [{ meter_id: 'TOLD', heard: start, isTold: true }]);
    assert.deepEqual([watch.take(), watch.quiet()], [[], []]);
  });

  it('says nothing before it has asked the database', () => {
    uses('METER001', 2_500);
    now += 61 * minute;
    assert.deepEqual([watch.take(), watch.quiet()], [[], ['METER001']]);
  });

  const bursts: [what: string, code: string, kind: string][] = [
    ['what is malformed', 'SCHEMA_INVALID', 'malformed_burst'],
    ['wrong signatures', 'SIGNATURE_INVALID', 'signature_burst'],
    ['signatures of a key that was revoked', 'KEY_REVOKED', 'signature_burst'],
  ];
  for (const [what, code, kind] of bursts) {
    it(`notices a burst of ${what}, and not nine in a minute`, () => {
      watch.rejected(Array.from({ length: 9 }, () => rejection('METER001', code)));
      assert.deepEqual(watch.take(), []);
      watch.rejected([rejection('METER001', code)]);
      assert.deepEqual(kinds(watch.take()), [[kind, 'METER001', 10]]);
      now += 2 * minute;
      watch.rejected(Array.from({ length: 9 }, () => rejection('METER001', code)));
      assert.deepEqual(watch.take(), []);
    });
  }

  it('does not take a refusal by another rule for a malformed one', () => {
    watch.rejected(Array.from({ length: 100 }, () => rejection('METER001', 'TOO_CLOSE')));
    assert.deepEqual(watch.take(), []);
  });

  it('notices a device that tries foreign topics', () => {
    const hop = session({ event: 'refused', meter_id: 'METER001', reason: 'publish denied' });
    watch.sessions([hop, { ...hop, event: 'disconnected' }, hop, { ...hop, reason: 'subscribe denied' }]);
    assert.deepEqual(kinds(watch.take()), [['topic_hopping', 'METER001', 3]]);
  });

  describe('of a device that hops among its own topics', () => {
    const topics = (count: number): { meter_id: string; topic: string }[] =>
      Array.from({ length: count }, (_, n) => ({ meter_id: 'METER001', topic: `devices/id-1/probe/${n}` }));

    it('notices the thirty-first within a minute, once, and not the thirtieth', () => {
      watch.kept([...topics(30), ...topics(30), { meter_id: 'METER002', topic: 'devices/id-2/more' }]);
      assert.deepEqual(watch.take(), []);
      watch.kept(topics(31));
      const [hop, ...more] = watch.take();
      assert.deepEqual(
        [hop?.kind, hop?.subject, hop?.meter_id, hop?.occurrences],
        ['topic_hopping', 'METER001', 'METER001', 31],
      );
      assert.equal(
        hop?.reason,
        '31 different topics within a minute, more than 30; the last: devices/id-1/probe/30.',
      );
      watch.kept(topics(500));
      assert.deepEqual([more, watch.take()], [[], []]);
    });

    it('counts anew after a minute, and never the same ones for hours', () => {
      for (let n = 0; n < 300; n++, now += 30_000) watch.kept(topics(20));
      watch.kept(topics(30));
      now += minute;
      watch.kept(topics(60).slice(30));
      assert.deepEqual(watch.take(), []);
      now += minute;
      watch.kept(topics(31));
      assert.deepEqual(kinds(watch.take()), [['topic_hopping', 'METER001', 31]]);
    });

    it('counts readings, messages and refused ones together, and none that came over HTTP', () => {
      watch = createAnomalyWatch({ now: () => now, topicsMax: 3 });
      watch.stored([
        { ...reading('METER001', 2_500), topic: 'meters/METER001/readings' },
        { ...reading('METER001', 2_500), topic: '', source: 'http' },
      ]);
      watch.rejected([{ ...rejection('METER001', 'SCHEMA_INVALID'), topic: 'meters/METER001/readings.pb' }]);
      watch.kept([{ meter_id: 'METER001', topic: 'smartmeter/METER001/status' }]);
      assert.deepEqual(watch.take(), []);
      watch.kept([{ meter_id: 'METER001', topic: `devices/id-1/${'x'.repeat(60_000)}` }]);
      const [hop] = watch.take();
      assert.equal(hop?.occurrences, 4);
      assert.ok(hop.reason.length < 200, 'a topic of 60 kB is not kept');
    });

    it('forgets the eldest of 50,000 devices, so that inventing devices costs no memory', () => {
      watch = createAnomalyWatch({ now: () => now, topicsMax: 2 });
      watch.kept(topics(2));
      watch.kept(Array.from({ length: 50_000 }, (_, n) => ({ meter_id: `M${n}`, topic: 'a' })));
      watch.kept(topics(3).slice(2));
      assert.deepEqual(watch.take(), []);
      watch.kept(topics(2));
      assert.deepEqual(kinds(watch.take()), [['topic_hopping', 'METER001', 3]]);
    });
  });

  it('notices what an external broker asked us about, by the user name where there is no address', () => {
    const asked = session({ event: 'refused', address: '', mqtt_user: 'somebody' });
    for (let n = 0; n < 10; n++) {
      watch.sessions([
        { ...asked, reason: 'bad credentials' },
        { ...asked, reason: 'unknown user' },
      ]);
    }
    const tries = ['publish denied', 'subscribe denied', 'receive denied'];
    for (const reason of tries) watch.sessions([{ ...asked, meter_id: 'METER001', reason }]);
    assert.deepEqual(kinds(watch.take()), [
      ['refused_logins', 'somebody', 20],
      ['topic_hopping', 'METER001', 3],
    ]);
  });

  it('notices refused logins and broken packets by their address, and no ordinary end', () => {
    const refused = session({ event: 'refused', reason: 'bad credentials' });
    const broken = session({ event: 'refused', reason: 'first packet is not CONNECT', address: '10.0.0.9' });
    const ordinary = session({ event: 'disconnected', reason: 'keep alive', address: '10.0.0.8' });
    for (let n = 0; n < 20; n++) watch.sessions([refused, ordinary]);
    for (let n = 0; n < 10; n++) watch.sessions([broken]);
    assert.deepEqual(kinds(watch.take()), [
      ['malformed_burst', '10.0.0.9', 10],
      ['refused_logins', '10.0.0.7', 20],
    ]);
  });

  it('stays small whoever invents meters and addresses', () => {
    for (let n = 0; n < 30_000; n++) {
      const address = `host-${n}`;
      for (let turn = 0; turn < 10; turn++)
        watch.sessions([session({ reason: 'packet too large', address })]);
    }
    assert.equal(watch.take().length, 1_000);
  });
});

describe('Anomalies that are kept', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());

  it('are one row per kind, subject and hour, counted up; listed by page, kind and meter', async () => {
    const anomalies = createAnomalies(test.database);
    const one = noticed('silent_meter', 'METER001', start);
    await anomalies.keep([one, noticed('topic_hopping', 'METER002', start + 1)]);
    await anomalies.keep([{ ...one, at: start + 5 * minute, reason: 'The last.' }]);
    await anomalies.keep([{ ...one, at: start + 70 * minute }]);
    const { data, total } = await anomalies.list({ limit: '2' });
    assert.equal(total, 3);
    assert.deepEqual(
      data.map(({ kind, occurrences, last_at }) => [kind, occurrences, last_at]),
      [
        ['silent_meter', 1, '2026-11-20T13:10:00.000Z'],
        ['silent_meter', 2, '2026-11-20T12:05:00.000Z'],
      ],
    );
    assert.equal((await anomalies.list({ kind: 'topic_hopping' })).total, 1);
    assert.equal((await anomalies.list({ meter_id: 'METER001' })).total, 2);
    await assert.rejects(anomalies.list({ kind: 'odd' }), { code: 'SCHEMA_INVALID' });
  });

  it('know the newest reading of a meter, whoever stored it, and what was said of it since', async () => {
    const { database } = test;
    await database.query({
      text: `insert into devices (meter_id, type, mqtt_user, password_hash, revoked_at)
             select m, 'meter', m, '\\x00', case when m = 'REVOKED' then now() end
               from unnest('{SENDS,MUTE,SAID,REVOKED}'::text[]) as m`,
    });
    await database.query({
      text: `select ensure_day_partition('meter_readings', (now() at time zone 'utc')::date)`,
    });
    await database.query({
      text: `insert into meter_readings (meter_id, kwh_amount, reading_timestamp, submitted_at)
             select m, 1, now(), '2026-11-20T12:00:00Z' from unnest('{SENDS,SAID,REVOKED}'::text[]) as m`,
    });
    const anomalies = createAnomalies(database);
    await anomalies.keep([noticed('silent_meter', 'SAID', start + minute)]);
    const found = await anomalies.lastStored(['SENDS', 'MUTE', 'SAID', 'REVOKED', 'UNKNOWN']);
    assert.deepEqual(
      found.sort((one, other) => one.meter_id.localeCompare(other.meter_id)),
      [
        { meter_id: 'MUTE', heard: null, isTold: false },
        { meter_id: 'SAID', heard: start, isTold: true },
        { meter_id: 'SENDS', heard: start, isTold: false },
      ],
    );
  });

  it('are at most 10,000 rows; the oldest go', async () => {
    await test.database.query({
      text: `insert into anomalies (kind, subject, occurrences, reason, first_at, last_at, hour)
             select 'silent_meter', 'M' || n, 1, '', now(), now(), now() from generate_series(1, 10050) as n`,
    });
    const anomalies = createAnomalies(test.database);
    await anomalies.keep([noticed('silent_meter', 'LAST', Date.now() + minute)]);
    const { data, total } = await anomalies.list({ limit: 1 });
    assert.equal(total, 10_000);
    assert.equal(data[0]?.subject, 'LAST');
    assert.equal((await anomalies.list({ meter_id: 'METER001' })).total, 0);
  });
});

function kinds(list: readonly Noticed[]): unknown[] {
  return list
    .map(({ kind, subject, occurrences }) => [kind, subject, occurrences] as const)
    .sort(([one], [other]) => one.localeCompare(other));
}

function reading(meter_id: string, energy: number, time = start): Reading {
  const place = { delivery: 0, part: 0, device_id: meter_id, user_id: null, topic: '', qos: 1 } as const;
  return { ...place, meter_id, energy, time, source: 'mqtt', received_at: start };
}

function rejection(meter_id: string, code: string): Rejection {
  const place = { delivery: 0, part: 0, device_id: meter_id, topic: '', qos: 1, payload: '' } as const;
  return { ...place, meter_id, code, reason: '', received_at: start };
}

function session(more: Partial<SessionEvent>): SessionEvent {
  return {
    event: 'refused',
    kind: 'unknown',
    client_id: 'x',
    mqtt_user: 'x',
    device_id: null,
    meter_id: null,
    address: '10.0.0.7',
    reason: null,
    at: start,
    ...more,
  };
}

function noticed(kind: Noticed['kind'], meter: string, at: number): Noticed {
  return { kind, subject: meter, meter_id: meter, occurrences: 1, reason: 'So.', at };
}

import assert from 'node:assert/strict';
import { openDatabase, type Database } from '../../src/database/database.js';
import type { Reading } from '../../src/readings/reading.js';
import { createReadingWriter, type StoreResult } from '../../src/readings/writer.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const noon = Date.UTC(2026, 10, 20, 12);
const { signal } = new AbortController();

describe('the writer of readings', () => {
  let test: TestDatabase;
  let database: Database;
  before(async () => {
    test = await createTestDatabase();
    database = test.database;
  });
  after(() => test.drop());

  // Seconds after noon and ten-thousandths of a kWh; each row is a meter of its own.
  type Short = readonly [seconds: number, energy: number];
  type Row = readonly [what: string, before: Short[], batch: Short[], outcomes: string];
  const table: Row[] = [
    ['a first reading', [], [[0, 1]], 'stored'],
    ['an identical repeat', [[0, 1]], [[0, 1]], 'duplicate'],
    ['another energy at the same instant', [[0, 1]], [[0, 2]], 'TOO_CLOSE'],
    ['one second later', [[0, 1]], [[1, 1]], 'TOO_CLOSE'],
    ['899 seconds later', [[0, 1]], [[899, 1]], 'TOO_CLOSE'],
    ['a millisecond too early', [[0, 1]], [[899.999, 1]], 'TOO_CLOSE'],
    ['exactly 900 seconds later', [[0, 1]], [[900, 1]], 'stored'],
    ['exactly 900 seconds before', [[0, 1]], [[-900, 1]], 'stored'],
    ['899 seconds before', [[0, 1]], [[-899, 1]], 'TOO_CLOSE'],
    [
      'between two that are 30 minutes apart',
      [
        [0, 1],
        [1800, 1],
      ],
      [[900, 1]],
      'stored',
    ],
    [
      'between two, nearer to one',
      [
        [0, 1],
        [1800, 1],
      ],
      [[901, 1]],
      'TOO_CLOSE',
    ],
    ['across midnight UTC, hence two partitions', [[43_199, 1]], [[43_201, 1]], 'TOO_CLOSE'],
    ['a day across midnight', [], quarters(96), Array(96).fill('stored').join(' ')],
    [
      'identical repeats in one batch',
      [],
      [
        [0, 1],
        [0, 1],
        [0, 1],
      ],
      'stored duplicate duplicate',
    ],
    [
      'near neighbours in one batch',
      [],
      [
        [0, 1],
        [60, 1],
        [899, 1],
        [900, 1],
      ],
      'stored TOO_CLOSE TOO_CLOSE stored',
    ],
    [
      'the later one first in one batch',
      [],
      [
        [60, 1],
        [0, 1],
      ],
      'stored TOO_CLOSE',
    ],
    [
      'same instant, other energy in one batch',
      [],
      [
        [0, 1],
        [0, 2],
      ],
      'stored TOO_CLOSE',
    ],
    [
      'a chain of ten minutes',
      [],
      [
        [0, 1],
        [600, 1],
        [1200, 1],
        [1800, 1],
      ],
      'stored TOO_CLOSE stored TOO_CLOSE',
    ],
    [
      'a neighbour of one that is itself refused',
      [[-60, 1]],
      [
        [0, 1],
        [840, 1],
      ],
      'TOO_CLOSE stored',
    ],
    [
      'a repeat of one that is refused',
      [[-60, 1]],
      [
        [0, 1],
        [0, 1],
      ],
      'TOO_CLOSE TOO_CLOSE',
    ],
    [
      'a repeat of one that is a duplicate',
      [[0, 1]],
      [
        [0, 1],
        [0, 1],
      ],
      'duplicate duplicate',
    ],
    [
      'a neighbour and a repeat of a duplicate',
      [[0, 1]],
      [
        [0, 1],
        [60, 1],
        [0, 1],
      ],
      'duplicate TOO_CLOSE duplicate',
    ],
    ['the largest energy of the column', [], [[0, 999_999_999_999]], 'stored'],
  ];
  for (const [index, [what, before, batch, outcomes]] of table.entries()) {
    it(`finds ${what}: ${outcomes.slice(0, 60)}`, async () => {
      const meter = `TABLE-${index}`;
      const writer = createReadingWriter(database);
      for (const one of before) await writer.store([reading(meter, one)], { signal });
      const readings = batch.map((one) => reading(meter, one));
      assert.equal(outcomesOf(readings, await writer.store(readings, { signal })), outcomes);
      await assertSpaced(database, 900, meter);
      const stored = outcomes.split(' ').filter((outcome) => outcome === 'stored').length;
      assert.equal(await count(database, meter), before.length + stored);
    });
  }

  it('stores energy, time, meter and source exactly', async () => {
    const writer = createReadingWriter(database);
    const user_id = '9c0d1f44-26c0-4a5a-9a3f-0d5d6ff5c1a1';
    const one = { ...reading('EXACT', [0.123, 12_345]), user_id, source: 'http' as const };
    await writer.store([one], { signal });
    const { rows } = await database.query({
      text: `select meter_id, user_id, kwh_amount, (extract(epoch from reading_timestamp) * 1000)::bigint::text as ms,
                    source, minted, submitted_at > now() - interval '1 minute' as fresh
               from meter_readings where meter_id = 'EXACT'`,
    });
    assert.deepEqual(rows, [
      {
        meter_id: 'EXACT',
        user_id,
        kwh_amount: '1.2345',
        ms: String(noon + 123),
        source: 'http',
        minted: false,
        fresh: true,
      },
    ]);
  });

  it('stores every millisecond and ten-thousandth unchanged', async () => {
    const writer = createReadingWriter(database, { spacingSeconds: 0 });
    const readings = Array.from({ length: 2000 }, (_, index) =>
      reading('ROUNDING', [index * 7.001, 1 + Math.floor(Math.random() * 1_000_000)]),
    );
    assert.equal((await writer.store(readings, { signal })).stored.length, 2000);
    const { rows } = await database.query<{ ms: string; energy: string }>({
      text: `select (extract(epoch from reading_timestamp) * 1000)::text as ms, (kwh_amount * 10000)::text as energy
               from meter_readings where meter_id = 'ROUNDING' order by reading_timestamp`,
    });
    assert.deepEqual(
      rows.map(({ ms, energy }) => [Number(ms), Number(energy)]),
      readings.map(({ time, energy }) => [time, energy]),
    );
  });

  it('turns the rule off with a spacing of 0, but keeps one energy for an instant', async () => {
    const writer = createReadingWriter(database, { spacingSeconds: 0 });
    const batch = [
      [0, 1],
      [0.001, 1],
      [0, 1],
      [0, 2],
    ].map(([s = 0, e = 0]) => reading('SPACING0', [s, e]));
    assert.equal(
      outcomesOf(batch, await writer.store(batch, { signal })),
      'stored stored duplicate TOO_CLOSE',
    );
  });

  it('says what is in the way, with the payload as it arrived', async () => {
    const writer = createReadingWriter(database);
    const payload = `[{"kwh_amount": 1.0, "reading_timestamp": ${noon}},  {"kwh_amount": 2.00, "reading_timestamp": ${noon + 60_000}} ]`;
    const batch = [
      { ...reading('WHY', [0, 10_000]), part: 0, payload },
      { ...reading('WHY', [60, 20_000]), part: 1, payload },
    ];
    const { rejected } = await writer.store(batch, { signal });
    assert.deepEqual(
      rejected.map(({ code, part, payload: text }) => [code, part, text]),
      [['TOO_CLOSE', 1, `{"kwh_amount": 2.00, "reading_timestamp": ${noon + 60_000}}`]],
    );
    assert.match(
      rejected[0]?.reason ?? '',
      /2026-11-20T12:01:00\.000Z is 60 s from .*2026-11-20T12:00:00\.000Z.*900 s/,
    );
  });

  it('joins the readings of many calls and answers each its own', async () => {
    const writer = createReadingWriter(database);
    const calls = Array.from({ length: 300 }, (_, call) => [
      reading(`CALL-${call % 100}`, [900 * Math.floor(call / 100), 1]),
      reading('CALLS-SHARED', [0, 1]),
    ]);
    const results = await Promise.all(calls.map((batch) => writer.store(batch, { signal })));
    for (const [index, result] of results.entries()) assertAccounted(calls[index] ?? [], result);
    assert.equal(results.flatMap(({ stored }) => stored).length, 301);
    assert.equal(results.flatMap(({ duplicate }) => duplicate).length, 299);
  });

  it('makes the partition of any day, also after somebody dropped it', async () => {
    const writer = createReadingWriter(database);
    const late = reading('LATE', [-30 * 86_400, 1]);
    assert.equal((await writer.store([late], { signal })).stored.length, 1);
    await database.query({ text: 'drop table meter_readings_20261021' });
    assert.equal((await writer.store([late], { signal })).stored.length, 1);
  });

  it('refuses the one row that the database cannot take and stores the others', async () => {
    const writer = createReadingWriter(database);
    const batch = Array.from({ length: 33 }, (_, index) => reading(`POISON-${index}`, [0, 1]));
    const broken = [
      { ...reading('POISON-NUL\0', [0, 1]) },
      { ...reading('POISON-USER', [0, 1]), user_id: 'not a uuid' },
      { ...reading('POISON-ENERGY', [0, 1e14]) },
      { ...reading('POISON-NEGATIVE', [0, -1]) },
    ];
    batch.splice(10, 0, ...broken);
    const result = await writer.store(batch, { signal });
    assertAccounted(batch, result);
    assert.equal(result.stored.length, 33);
    assert.deepEqual(
      result.rejected.map(({ meter_id }) => meter_id),
      broken.map(({ meter_id }) => meter_id),
    );
    assert.deepEqual(new Set(result.rejected.map(({ code }) => code)), new Set(['SCHEMA_INVALID']));
  });

  it('takes a meter_id of any text without confusing the others', async () => {
    const names = ['', 'NULL', '{}', 'a"b', 'a\\b', 'a,b', "a'b", 'ä', '\\x00', '"', '\\"'];
    const batch = names.map((name) => reading(name, [0, 1]));
    assert.equal((await createReadingWriter(database).store(batch, { signal })).stored.length, names.length);
    const { rows } = await database.query<{ meter_id: string }>({
      text: 'select meter_id from meter_readings where meter_id = any($1::text[])',
      values: [names],
    });
    assert.deepEqual(new Set(rows.map(({ meter_id }) => meter_id)), new Set(names));
  });

  it('gives up a wait that is aborted, and nothing more', async () => {
    const writer = createReadingWriter(database);
    const aborted = AbortSignal.abort(new Error('closing'));
    await assert.rejects(writer.store([reading('ABORTED', [0, 1])], { signal: aborted }), /closing/);
    const closing = new AbortController();
    const waiting = writer.store([reading('ABORTED', [0, 1])], { signal: closing.signal });
    const other = writer.store([reading('ABORTED', [900, 1])], { signal });
    closing.abort(new Error('closing'));
    await assert.rejects(waiting, /closing/);
    assert.equal((await other).stored.length, 1);
  });

  it('keeps the rule when two instances write the same meters at once', async () => {
    const second = openDatabase({ url: test.url });
    const spacingSeconds = 60;
    // Lanes of different number: the locks, not the lanes, keep instances apart.
    const writers = [
      createReadingWriter(database, { spacingSeconds, lanes: 2 }),
      createReadingWriter(second, { spacingSeconds, lanes: 3, batchMax: 150 }),
    ];
    const random = seeded(42);
    let inputs = 0;
    let stored = 0;
    async function load(writer: (typeof writers)[number]): Promise<void> {
      for (let round = 0; round < 40; round++) {
        const batch = Array.from({ length: 100 }, () =>
          reading(`RACE-${Math.floor(random() * 20)}`, [
            Math.floor(random() * 1200),
            1 + Math.floor(random() * 2),
          ]),
        );
        const result = await writer.store(batch, { signal });
        assertAccounted(batch, result);
        inputs += batch.length;
        stored += result.stored.length;
      }
    }
    try {
      await Promise.all([...writers, ...writers].map(load));
    } finally {
      await second.close();
    }
    assert.equal(inputs, 16_000);
    assert.equal(await count(database, 'RACE-%'), stored);
    await assertSpaced(database, spacingSeconds, 'RACE-%');
  });

  it('decides like a plain list of what is stored, whatever the batches', async () => {
    const random = seeded(7);
    const writer = createReadingWriter(database, { spacingSeconds: 10, batchMax: 64 });
    const model = new Map<string, Short[]>();
    for (let round = 0; round < 40; round++) {
      const shorts = Array.from({ length: 1 + Math.floor(random() * 150) }, () => ({
        meter: `MODEL-${Math.floor(random() * 5)}`,
        short: [Math.floor(random() * 600), 1 + Math.floor(random() * 2)] as Short,
      }));
      const batch = shorts.map(({ meter, short }) => reading(meter, short));
      const expected = shorts.map(({ meter, short }) => decide(model, meter, short));
      const result = await writer.store(batch, { signal });
      assert.equal(outcomesOf(batch, result), expected.join(' '));
    }
  });

  function decide(model: Map<string, Short[]>, meter: string, [seconds, energy]: Short): string {
    const stored = model.get(meter) ?? [];
    if (stored.some(([s, e]) => s === seconds && e === energy)) return 'duplicate';
    if (stored.some(([s]) => Math.abs(s - seconds) < 10)) return 'TOO_CLOSE';
    model.set(meter, [...stored, [seconds, energy]]);
    return 'stored';
  }
});

function quarters(length: number): [number, number][] {
  return Array.from({ length }, (_, index) => [index * 900, 1]);
}

function reading(meter_id: string, [seconds, energy]: readonly [number, number]): Reading {
  return {
    delivery: 0,
    part: 0,
    meter_id,
    device_id: null,
    user_id: null,
    energy,
    time: noon + Math.round(seconds * 1000),
    source: 'mqtt',
    received_at: noon,
    topic: `meters/${meter_id}/readings`,
    qos: 1,
  };
}

function outcomesOf(batch: readonly Reading[], result: StoreResult): string {
  assertAccounted(batch, result);
  const rejected = [...result.rejected];
  return batch
    .map((one) => {
      if (result.stored.includes(one)) return 'stored';
      if (result.duplicate.includes(one)) return 'duplicate';
      return rejected.shift()?.code;
    })
    .join(' ');
}

function assertAccounted(batch: readonly Reading[], { stored, duplicate, rejected }: StoreResult): void {
  assert.equal(stored.length + duplicate.length + rejected.length, batch.length);
  assert.equal(new Set([...stored, ...duplicate]).size, stored.length + duplicate.length);
}

async function count(database: Database, meters: string): Promise<number> {
  const { rows } = await database.query<{ count: number }>({
    text: 'select count(*)::int as count from meter_readings where meter_id like $1',
    values: [meters],
  });
  return rows[0]?.count ?? -1;
}

async function assertSpaced(database: Database, seconds: number, meters: string): Promise<void> {
  const { rows } = await database.query({
    text: `select * from (
             select meter_id, reading_timestamp,
                    reading_timestamp - lag(reading_timestamp) over (partition by meter_id order by reading_timestamp) as gap
               from meter_readings where meter_id like $1) g
            where gap < $2::int * interval '1 second'`,
    values: [meters, seconds],
  });
  assert.deepEqual(rows, []);
}

/** A small generator (mulberry32), so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

import assert from 'node:assert/strict';
import { createConsumption, type Consumption } from '../../src/balances/consumption.js';
import type { ConsumptionReport, ConsumptionResult } from '../../src/balances/report.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { balanceOf, credit, discrepancies, one, report } from './meters.js';

const wait = { signal: new AbortController().signal };
const now = Date.parse('2026-11-20T12:00:00Z');
const hour = 3_600_000;

describe('Consumption reports', () => {
  let test: TestDatabase;
  let consumption: Consumption;
  let meter: string;
  let meters = 0;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  beforeEach(() => {
    consumption = createConsumption(test.database, { now: () => now });
    meters += 1;
    meter = `METER-${meters}`;
  });
  afterEach(async () => assert.equal(await discrepancies(test.database), 0));

  const apply = (...reports: ConsumptionReport[]) => consumption.apply(reports, wait);
  const counts = ({ applied, duplicate, rejected }: ConsumptionResult) => [
    applied.length,
    duplicate.length,
    rejected.length,
  ];

  for (const [paid, left] of [
    [5.25, '5.2452'],
    [10.5, '10.4952'],
  ] as const) {
    it(`0.0048 consumed of ${paid} leave ${left}, as in the original document`, async () => {
      await credit(test.database, meter, paid);
      const remaining = Math.round(Number(left) * 10_000);
      const { applied } = await apply(report(meter, { remaining, total: 48, time: 1_698_765_432_000 }));
      assert.equal(applied[0]?.balance, remaining);
      assert.equal(await balanceOf(test.database, meter), left);
    });
  }

  it('counts a report before any payment against the meter', async () => {
    assert.deepEqual(counts(await apply(report(meter))), [1, 0, 0]);
    assert.equal(await balanceOf(test.database, meter), '-0.0048');
  });

  const twice: readonly [
    title: string,
    a: Partial<ConsumptionReport>,
    b: Partial<ConsumptionReport>,
    outcome: string,
  ][] = [
    ['the same time and content', { time: now }, { time: now }, 'duplicate'],
    [
      'the same time, arriving days later',
      { time: now },
      { time: now, received_at: now + 72 * hour },
      'duplicate',
    ],
    ['another time, the same content', { time: now }, { time: now + 30_000 }, 'applied'],
    ['the same time, other units', { time: now }, { time: now, units: 49 }, 'rejected'],
    ['the same time, another balance', { time: now }, { time: now, remaining: 1 }, 'rejected'],
    ['the same time, a counter that was missing', { time: now }, { time: now, total: 48 }, 'rejected'],
    ['no time, the same counter and balance', { total: 48 }, { total: 48 }, 'duplicate'],
    [
      'no time, the same counter and balance after a week',
      { total: 48, received_at: now },
      { total: 48, received_at: now + 168 * hour },
      'duplicate',
    ],
    [
      'no time, the counter begun anew after a reboot',
      { total: 48 },
      { total: 48, remaining: 52_404 },
      'applied',
    ],
    [
      'no time, the same counter and balance, other units',
      { total: 48 },
      { total: 48, units: 1 },
      'rejected',
    ],
    ['nothing but content, at once', { received_at: now }, { received_at: now + 1 }, 'duplicate'],
    [
      'nothing but content, after 23 h 59 min',
      { received_at: now },
      { received_at: now + 24 * hour - 60_000 },
      'duplicate',
    ],
    [
      'nothing but content, over midnight',
      { received_at: now + 12 * hour - 1 },
      { received_at: now + 12 * hour },
      'duplicate',
    ],
    ['nothing but content, after 24 h', { received_at: now }, { received_at: now + 24 * hour }, 'applied'],
    [
      'nothing but content, which differs',
      { received_at: now },
      { received_at: now, remaining: 52_404 },
      'applied',
    ],
  ];
  for (const [title, a, b, outcome] of twice) {
    for (const how of ['in one commit', 'one after the other'] as const) {
      it(`${title}: the second is ${outcome} (${how})`, async () => {
        const [first, second] = [report(meter, a), report(meter, b)];
        const results =
          how === 'in one commit' ? [await apply(first, second)] : [await apply(first), await apply(second)];
        const sums = results
          .map(counts)
          .reduce((sum, each) => sum.map((value, i) => value + (each[i] ?? 0)), [0, 0, 0]);
        const expected = { applied: [2, 0, 0], duplicate: [1, 1, 0], rejected: [1, 0, 1] }[outcome];
        assert.deepEqual(sums, expected);
        const taken = outcome === 'applied' ? first.units + second.units : first.units;
        assert.equal(await balanceOf(test.database, meter), (-taken / 10_000).toFixed(4));
      });
    }
  }

  it('names what a conflicting report conflicts with', async () => {
    await apply(report(meter, { time: now }));
    const { rejected } = await apply(report(meter, { time: now, units: 50 }));
    assert.equal(rejected[0]?.code, 'CONSUMPTION_CONFLICT');
    assert.match(rejected[0]?.reason ?? '', /2026-11-20T12:00:00.000Z.*0\.0048.*0\.005/);
  });

  it('keeps a report of 0 units, which moves nothing', async () => {
    await credit(test.database, meter, 1);
    assert.deepEqual(counts(await apply(report(meter, { units: 0, time: now }))), [1, 0, 0]);
    assert.deepEqual(counts(await apply(report(meter, { units: 0, time: now }))), [0, 1, 0]);
    assert.equal(await balanceOf(test.database, meter), '1.0000');
  });

  it('says of the report that takes a balance to the threshold that it is low, and of no other', async () => {
    await credit(test.database, meter, 1.01);
    const { applied } = await apply(...[1, 2, 3, 4].map((n) => report(meter, { time: now + n, units: 50 })));
    assert.deepEqual(
      applied.map(({ balance, low }) => [balance, low]),
      [
        [10_050, false],
        [10_000, true],
        [9950, false],
        [9900, false],
      ],
    );
  });

  it('is one ledger transaction for all meters of a commit, each entry with the balance after it', async () => {
    const names = Array.from({ length: 50 }, (_, n) => `${meter}-${n}`);
    await consumption.apply(
      names.map((name) => report(name, { time: now })),
      wait,
    );
    const { transactions, entries } = await one<{ transactions: number; entries: number }>(
      test.database,
      `select count(distinct transaction_id)::int as transactions, count(*)::int as entries
         from ledger_entries e join accounts a on a.id = e.account_id where a.meter_id like $1`,
      `${meter}-%`,
    );
    assert.ok(transactions <= 2, `${transactions} transactions`); // two lanes
    assert.equal(entries, 50);
  });

  it('takes each report once when two instances get all of them at the same time, in any order', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `${meter}-${n}`);
    await Promise.all(names.map((name) => credit(test.database, name, 10)));
    const reports = names.flatMap((name) =>
      Array.from({ length: 30 }, (_, n) => report(name, { time: now + n, units: 1 + n })),
    );
    const instances = [consumption, createConsumption(test.database, { lanes: 3, batchMax: 50 })];
    const results = await Promise.all(
      instances.flatMap((instance, turn) => {
        const order = turn === 0 ? reports : reports.toReversed();
        return [0, 1, 2, 3].map((part) =>
          instance.apply(
            order.filter((_, n) => n % 4 === part),
            wait,
          ),
        );
      }),
    );
    assert.equal(results.flatMap(({ applied }) => applied).length, 600);
    assert.equal(results.flatMap(({ duplicate }) => duplicate).length, 600);
    for (const name of names) assert.equal(await balanceOf(test.database, name), (10 - 0.0465).toFixed(4));
  });

  it('mixes with payments of the same meters at the same time', async () => {
    const paying = Array.from({ length: 20 }, () => credit(test.database, meter, 0.5));
    const using = Array.from({ length: 20 }, (_, n) => apply(report(meter, { time: now + n, units: 100 })));
    await Promise.all([...paying, ...using]);
    assert.equal(await balanceOf(test.database, meter), '9.8000');
  });

  it('refuses what the database cannot take, alone, and applies its neighbours', async () => {
    const { applied, rejected } = await apply(
      report(`${meter}-A`, { time: now }),
      // The statement cannot be spared its NUL.
      report(`${meter}-\u0000`, { time: now }),
      report(`${meter}-C`, { time: now }),
    );
    assert.deepEqual(applied.map(({ meter_id }) => meter_id).sort(), [`${meter}-A`, `${meter}-C`]);
    assert.equal(rejected[0]?.code, 'SCHEMA_INVALID');
  });
});

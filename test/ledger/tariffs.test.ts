import assert from 'node:assert/strict';
import { sell, type Sale } from '../../src/ledger/sale.js';
import { ensureDefaultTariff } from '../../src/ledger/tariff-store.js';
import { createTariff, listTariffs } from '../../src/ledger/tariffs.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { amountOf, keepPayment, openBooks } from './books.js';

const operator = { name: 'ada' };

describe('tariffs', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
    await openBooks(test.database, 'METER001');
  });
  afterEach(() => test.drop());

  function pay(amount: string, now: string, paidAt: string | null = null): Promise<Sale> {
    return test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf(amount));
      const time = paidAt === null ? null : new Date(paidAt);
      const order = {
        paymentId,
        meterId: 'METER001',
        amount: amountOf(amount),
        paidAt: time,
        caller: 'test',
      };
      return sell(tx, order, new Date(now));
    });
  }

  const add = (version: object, now = '2027-01-01T00:00:00Z') =>
    createTariff(test.database, { plan: 'default', ...version }, operator, new Date(now));

  it('begin with the default plan, made once whoever starts first', async () => {
    const others = [1, 2, 3].map((price) =>
      ensureDefaultTariff(test.database, {
        pricePerUnit: String(price),
        currency: 'UGX',
        timeZone: 'Africa/Kampala',
      }),
    );
    assert.deepEqual(await Promise.all(others), [false, false, false]);
    const [only, ...rest] = await listTariffs(test.database);
    assert.deepEqual(rest, []);
    assert.deepEqual(
      [only?.plan, only?.currency, only?.time_zone, only?.blocks, only?.current],
      ['default', 'KES', 'Africa/Nairobi', [{ from: 0, price: 25 }], true],
    );
  });

  it('hold from their time on, by the time of payment', async () => {
    await add({ price_per_unit: 50, valid_from: '2027-02-01T00:00:00Z' });
    assert.equal((await pay('100', '2027-01-31T23:59:59Z')).units, 40_000n);
    assert.equal((await pay('100', '2027-02-01T00:00:00Z')).units, 20_000n);
    // Told of three days late: sold as of when it was paid.
    assert.equal((await pay('100', '2027-02-03T00:00:00Z', '2027-01-31T23:00:00Z')).units, 40_000n);
  });

  it('are not chosen by a clock that is wrong: at most 7 days back, never ahead', async () => {
    await add({ price_per_unit: 50, valid_from: '2027-02-01T00:00:00Z' });
    assert.equal((await pay('100', '2027-02-09T00:00:00Z', '2027-01-31T00:00:00Z')).units, 20_000n);
    assert.equal((await pay('100', '2027-01-31T00:00:00Z', '2027-03-01T00:00:00Z')).units, 40_000n);
  });

  it('count the units of a calendar month where the meter is', async () => {
    const blocks = [
      { from: 0, price: 10 },
      { from: 10, price: 20 },
    ];
    await add({ blocks, valid_from: '2027-01-01T00:00:00Z' });
    // Nairobi is three hours ahead: 21:00 UTC of the last day is the next month.
    const first = await pay('100', '2027-01-31T20:59:59Z');
    assert.deepEqual([first.month, first.units], ['2027-01-01', 100_000n]);
    const second = await pay('100', '2027-01-31T20:59:59Z');
    assert.deepEqual([second.month, second.units], ['2027-01-01', 50_000n]);
    const third = await pay('100', '2027-01-31T21:00:00Z');
    assert.deepEqual([third.month, third.units], ['2027-02-01', 100_000n]);
  });

  it('charge their monthly fee once a month', async () => {
    await add({ price_per_unit: 10, monthly_fee: 30, valid_from: '2027-01-01T00:00:00Z' });
    const times = ['2027-01-02', '2027-01-20', '2027-02-02', '2027-02-03'];
    const fees: bigint[] = [];
    for (const day of times) fees.push((await pay('100', `${day}T12:00:00Z`)).monthlyFee);
    assert.deepEqual(fees, [amountOf('30'), 0n, amountOf('30'), 0n]);
  });

  it('are those of the plan of the meter, else the default plan', async () => {
    await createTariff(test.database, { plan: 'lifeline', price_per_unit: 5 }, operator);
    await test.database.query({ text: `update devices set tariff_plan = 'lifeline'` });
    const now = new Date().toISOString();
    const sale = await pay('100', now);
    assert.deepEqual([sale.plan, sale.units], ['lifeline', 200_000n]);
    await test.database.query({ text: `update devices set tariff_plan = 'gone'` });
    assert.equal((await pay('100', now)).plan, 'default');
  });

  it('cover with the first version of a plan what lies before it', async () => {
    await createTariff(
      test.database,
      { plan: 'next', price_per_unit: 5, valid_from: '2027-06-01T00:00:00Z' },
      operator,
      new Date('2027-01-01T00:00:00Z'),
    );
    await test.database.query({ text: `update devices set tariff_plan = 'next'` });
    assert.equal((await pay('100', '2027-01-02T00:00:00Z')).plan, 'next');
  });

  it('are told with who made them and which one holds', async () => {
    const made = await createTariff(test.database, { plan: 'default', price_per_unit: 30.1234 }, operator);
    await createTariff(
      test.database,
      { plan: 'default', price_per_unit: 31, valid_from: Date.now() + 3_600_000 },
      operator,
    );
    const versions = await listTariffs(test.database, 'default');
    assert.deepEqual(
      versions.map(({ blocks, current, created_by }) => [blocks[0]?.price, current, created_by]),
      [
        [31, false, 'ada'],
        [30.1234, true, 'ada'],
        [25, false, 'start'],
      ],
    );
    assert.equal(made.current, true);
    assert.deepEqual(await listTariffs(test.database, 'gone'), []);
    const told = await test.database.query({
      text: `select actor, action from audit_log where subject = 'default'`,
    });
    assert.equal(told.rowCount, 2);
  });

  it('have one version from one time', async () => {
    const version = { price_per_unit: 5, valid_from: '2027-02-01T00:00:00Z' };
    const both = await Promise.allSettled([add(version), add(version)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    await assert.rejects(add(version), { code: 'TARIFF_EXISTS' });
  });

  it('are needed to sell anything; the first one decides the currency', async () => {
    const bare = await createTestDatabase();
    try {
      const paymentId = await keepPayment(bare.database, amountOf('5'));
      const order = { paymentId, meterId: 'METER001', amount: amountOf('5'), paidAt: null, caller: 'test' };
      const sale = () => bare.database.transaction((tx) => sell(tx, order));
      await assert.rejects(sale(), { code: 'CONFIGURATION' });
      const first = { plan: 'default', price_per_unit: 5, currency: 'UGX', time_zone: 'Africa/Kampala' };
      for (const wrong of [{ plan: 'other' }, { currency: undefined }, { time_zone: undefined }])
        await assert.rejects(createTariff(bare.database, { ...first, ...wrong }, operator), {
          code: 'TARIFF_INVALID',
        });
      const both = await Promise.allSettled(
        ['UGX', 'KES'].map((currency) => createTariff(bare.database, { ...first, currency }, operator)),
      );
      assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      assert.equal((await sale()).units, 10_000n);
    } finally {
      await bare.drop();
    }
  });
});

describe('a version of a tariff', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
    await openBooks(test.database);
  });
  after(() => test.drop());

  const refusals: readonly (readonly [title: string, version: unknown, path: string])[] = [
    ['nothing', null, ''],
    ['no price', {}, '/blocks'],
    ['a price and blocks', { price_per_unit: 5, blocks: [{ from: 0, price: 5 }] }, '/blocks'],
    ['a price of 0', { price_per_unit: 0 }, '/price_per_unit'],
    ['a price of 5 decimals', { price_per_unit: 1.00001 }, '/blocks/0/price'],
    ['blocks that do not begin at 0', { blocks: [{ from: 1, price: 5 }] }, '/blocks/0/from'],
    [
      'blocks that do not rise',
      {
        blocks: [
          { from: 0, price: 5 },
          { from: 0, price: 6 },
        ],
      },
      '/blocks/1/from',
    ],
    ['no blocks', { blocks: [] }, '/blocks'],
    ['a fee below a cent', { price_per_unit: 5, payment_fee: 0.001 }, '/payment_fee'],
    ['a negative fee', { price_per_unit: 5, monthly_fee: -1 }, '/monthly_fee'],
    ['a share above 1', { price_per_unit: 5, arrears_share: 1.1 }, '/arrears_share'],
    ['a time that has passed', { price_per_unit: 5, valid_from: '2026-12-31T23:00:00Z' }, '/valid_from'],
    ['no time', { price_per_unit: 5, valid_from: 'tomorrow' }, '/valid_from'],
    ['no time zone', { price_per_unit: 5, time_zone: 'Africa/Atlantis' }, '/time_zone'],
    ['another currency', { price_per_unit: 5, currency: 'EUR' }, '/currency'],
    ['a name that is none', { plan: 'a b', price_per_unit: 5 }, '/plan'],
  ];
  for (const [title, version, path] of refusals) {
    it(`is refused: ${title}`, async () => {
      const input = version === null ? null : { plan: 'default', ...(version as object) };
      await assert.rejects(
        createTariff(test.database, input, operator, new Date('2027-01-01T00:00:00Z')),
        (error: { code?: string; details?: { path: string }[] }) => {
          assert.equal(error.code, 'TARIFF_INVALID');
          assert.ok(
            error.details?.some((detail) => detail.path === path),
            JSON.stringify(error.details),
          );
          return true;
        },
      );
    });
  }
});

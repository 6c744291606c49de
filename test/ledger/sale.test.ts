import assert from 'node:assert/strict';
import { sell, type Sale } from '../../src/ledger/sale.js';
import { toSuspense } from '../../src/ledger/suspense.js';
import { findMeter } from '../../src/ledger/find-meter.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { amountOf, balances, keepPayment, openBooks } from './books.js';

describe('a sale', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
    await openBooks(test.database, 'METER001', 'METER002');
  });
  afterEach(() => test.drop());

  function pay(amount: string, meterId = 'METER001', paidAt: Date | null = null): Promise<Sale> {
    return test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf(amount));
      return sell(tx, { paymentId, meterId, amount: amountOf(amount), paidAt, caller: 'test' });
    });
  }

  it('moves the money to the revenue and the energy to the meter', async () => {
    const sale = await pay('131.25');
    assert.equal(sale.units, 52_500n);
    assert.equal(sale.balance, amountOf('5.25'));
    assert.deepEqual(await balances(test.database), {
      issued: '-5.25',
      provider: '-131.25',
      revenue: '131.25',
      'units METER001': '5.25',
    });
  });

  it('keeps what buys no ten-thousandth of a unit for the next sale', async () => {
    await test.database.query({
      text: `insert into tariffs (plan, currency, time_zone, valid_from, blocks)
             values ('default', 'KES', 'Africa/Nairobi', now() - interval '8 days', '[{"from": 0, "price": 30}]')`,
    });
    const first = await pay('100');
    assert.equal(first.units, 33_333n);
    assert.equal(first.creditAfter, amountOf('0.001'));
    assert.equal((await balances(test.database))['credit METER001'], '0.001');
    const second = await pay('29.99');
    assert.equal(second.creditBefore, amountOf('0.001'));
    assert.equal(second.units, 9_997n);
    assert.equal(second.creditAfter, 0n);
  });

  it('sells a payment once', async () => {
    const paymentId = await keepPayment(test.database, amountOf('50'));
    const order = { paymentId, meterId: 'METER001', amount: amountOf('50'), paidAt: null, caller: 'test' };
    const twice = await Promise.allSettled(
      [1, 2].map(() => test.database.transaction((tx) => sell(tx, order))),
    );
    assert.deepEqual(twice.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.equal((await balances(test.database))['units METER001'], '2');
  });

  it('loses nothing of many at once to the same new meter', async () => {
    await Promise.all(Array.from({ length: 30 }, (_, index) => pay('25', `METER00${1 + (index % 2)}`)));
    const held = await balances(test.database);
    assert.equal(held['units METER001'], '15');
    assert.equal(held['units METER002'], '15');
    assert.equal(held['provider'], '-750');
  });

  it('keeps money without a meter in suspense', async () => {
    await test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf('70'), 'suspense');
      await toSuspense(tx, { paymentId, amount: amountOf('70'), paidAt: null, caller: 'test' });
    });
    assert.deepEqual(await balances(test.database), { provider: '-70', suspense: '70' });
  });

  it('finds its meter by meter_id or drn, case as written', async () => {
    await test.database.query({ text: `update devices set drn = '09000030529' where meter_id = 'METER002'` });
    const found = async (number: string) => (await findMeter(test.database, number))?.meterId;
    assert.equal(await found('METER001'), 'METER001');
    assert.equal(await found(' 09000030529 '), 'METER002');
    assert.equal(await found('meter001'), undefined);
    assert.equal(await found(''), undefined);
    assert.equal(await found('METER\u0000001'), undefined);
  });
});

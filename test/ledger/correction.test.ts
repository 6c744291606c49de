import assert from 'node:assert/strict';
import { charge } from '../../src/ledger/charge.js';
import { reverse, settlement } from '../../src/ledger/reversal.js';
import { sell, type Sale } from '../../src/ledger/sale.js';
import { allocate, toSuspense } from '../../src/ledger/suspense.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { amountOf, balances, keepPayment, openBooks } from './books.js';

const operator = { name: 'ada' };

describe('a correction', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
    await openBooks(test.database, 'METER001', 'METER002');
  });
  afterEach(() => test.drop());

  function pay(amount: string, receipt?: string): Promise<Sale> {
    return test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf(amount), 'accepted', receipt);
      return sell(tx, {
        paymentId,
        meterId: 'METER001',
        amount: amountOf(amount),
        paidAt: null,
        caller: 'test',
      });
    });
  }

  function suspend(amount: string, receipt?: string): Promise<string> {
    return test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf(amount), 'suspense', receipt);
      await toSuspense(tx, { paymentId, amount: amountOf(amount), paidAt: null, caller: 'test' });
      return paymentId;
    });
  }

  /** The newest version of the default plan, valid for long. */
  async function tariff(price: number, fees: { payment?: number; monthly?: number; share?: number } = {}) {
    const { payment = 0, monthly = 0, share = 0 } = fees;
    await test.database.query({
      text: `insert into tariffs (plan, currency, time_zone, valid_from, payment_fee, monthly_fee, arrears_share, blocks)
             select 'default', 'KES', 'Africa/Nairobi', max(valid_from) + interval '1 day', $1, $2, $3,
                    jsonb_build_array(jsonb_build_object('from', 0, 'price', $4::numeric)) from tariffs`,
      values: [payment, monthly, share, price],
    });
  }

  describe('by reversal', () => {
    it('takes everything back by new entries and wants the meter told', async () => {
      await tariff(27.37, { payment: 5, monthly: 20, share: 0.5 });
      await charge(test.database, { meterNumber: 'METER001', amount: 100, memo: 'a new meter' }, operator);
      await pay('150', 'QK1');
      const { rowCount: before } = await test.database.query({ text: 'select from ledger_entries' });
      const reversed = await reverse(test.database, 'qk1', operator, 'paid for the neighbour');
      assert.equal(reversed.balance, 0n);
      assert.equal(reversed.arrears, amountOf('100'));
      assert.deepEqual(await balances(test.database), { 'arrears METER001': '-100', revenue: '100' });
      const { rowCount: after } = await test.database.query({ text: 'select from ledger_entries' });
      assert.ok(after > before);
      const wanted = await test.database.query({ text: `select subject, reason from outbox` });
      assert.deepEqual(wanted.rows, [{ subject: 'METER001', reason: 'reversal' }]);
    });

    it('happens once, also for two operators at once, whatever the case of the receipt', async () => {
      await pay('50', 'QK2');
      const both = await Promise.allSettled(
        ['QK2', 'qk2'].map((one) => reverse(test.database, one, operator)),
      );
      assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      await assert.rejects(reverse(test.database, 'QK2', operator), { code: 'PAYMENT_REVERSED' });
      assert.deepEqual(await balances(test.database), {});
      await assert.rejects(reverse(test.database, 'QK3', operator), { code: 'PAYMENT_UNKNOWN' });
      await assert.rejects(reverse(test.database, 'QK\u00003', operator), { code: 'PAYMENT_UNKNOWN' });
    });

    it('leaves the month as if the sale had not been: its fee is due again, its blocks are free again', async () => {
      await tariff(30, { monthly: 20 });
      assert.equal((await pay('50', 'QK4')).units, 10_000n);
      await reverse(test.database, 'QK4', operator);
      const again = await pay('50');
      assert.equal(again.monthlyFee, amountOf('20'));
      assert.equal(again.units, 10_000n);
      const month = await test.database.query({ text: `select sum(units)::text as units from sales` });
      assert.deepEqual(month.rows, [{ units: '1.0000' }]);
    });

    it('lets the customer owe the remainder that a later sale has spent', async () => {
      await tariff(30);
      assert.equal((await pay('100', 'QK5')).creditAfter, amountOf('0.001'));
      assert.equal((await pay('29.99')).creditAfter, 0n);
      const reversed = await reverse(test.database, 'QK5', operator);
      assert.equal(reversed.arrears, amountOf('0.01'));
      const held = await balances(test.database);
      assert.equal(held['credit METER001'], '0.009');
      assert.equal(held['units METER001'], '0.9997');
    });

    it('gives back what was paid twice of a fee whose charge it takes back', async () => {
      await tariff(30, { monthly: 100, share: 1 });
      await pay('60', 'QK6');
      await pay('40');
      const reversed = await reverse(test.database, 'QK6', operator);
      assert.equal(reversed.arrears, 0n);
      assert.deepEqual(await balances(test.database), { provider: '-40', 'credit METER001': '40' });
    });
  });

  describe('by allocation', () => {
    it('sells money in suspense to the meter that it was meant for', async () => {
      const id = await suspend('131.25');
      const sale = await allocate(test.database, id, 'METER002', operator);
      assert.equal(sale.meterId, 'METER002');
      assert.equal(sale.balance, amountOf('5.25'));
      assert.deepEqual(await balances(test.database), {
        issued: '-5.25',
        provider: '-131.25',
        revenue: '131.25',
        'units METER002': '5.25',
      });
      const wanted = await test.database.query({ text: `select subject, reason from outbox` });
      assert.deepEqual(wanted.rows, [{ subject: 'METER002', reason: 'allocation' }]);
    });

    it('happens once, also under two operators at once', async () => {
      const id = await suspend('50');
      const both = await Promise.allSettled(
        ['METER001', 'METER002'].map((meter) => allocate(test.database, id, meter, operator)),
      );
      const refused = both.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
      assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      assert.equal((refused.reason as { code: string }).code, 'PAYMENT_ALLOCATED');
      const held = await balances(test.database);
      assert.equal(held['revenue'], '50');
      assert.equal(held['suspense'], undefined);
    });

    it('is one or the other of allocation and reversal first, never half of both', async () => {
      const id = await suspend('50', 'QK7');
      const both = await Promise.allSettled([
        allocate(test.database, id, 'METER001', operator),
        reverse(test.database, 'QK7', operator),
      ]);
      assert.equal(both[1].status, 'fulfilled');
      assert.deepEqual(await balances(test.database), {});
      await assert.rejects(allocate(test.database, id, 'METER001', operator), { code: 'PAYMENT_REVERSED' });
    });

    it('is taken back as a whole by a reversal', async () => {
      await allocate(test.database, await suspend('50', 'QK8'), 'METER001', operator);
      const reversed = await reverse(test.database, 'QK8', operator);
      assert.equal(reversed.units, 20_000n);
      assert.deepEqual(await balances(test.database), {});
    });

    it('needs money in suspense and a known meter', async () => {
      const id = await suspend('50');
      await assert.rejects(allocate(test.database, id, 'METER009', operator), { code: 'METER_UNKNOWN' });
      await assert.rejects(allocate(test.database, '999', 'METER001', operator), { code: 'PAYMENT_UNKNOWN' });
      await assert.rejects(allocate(test.database, 'x', 'METER001', operator), { code: 'PAYMENT_UNKNOWN' });
      const sold = await keepPayment(test.database, amountOf('50'));
      await assert.rejects(allocate(test.database, sold, 'METER001', operator), { code: 'PAYMENT_UNKNOWN' });
    });
  });

  describe('by charge', () => {
    it('is owed until sales have paid it off by the share of the tariff', async () => {
      await tariff(25, { share: 0.5 });
      const charged = await charge(
        test.database,
        { meterNumber: 'METER001', amount: '60.00', memo: 'a broken seal' },
        operator,
      );
      assert.equal(charged.arrears, amountOf('60'));
      const first = await pay('100');
      assert.deepEqual(
        [first.arrearsPaid, first.units, first.arrears],
        [amountOf('50'), 20_000n, amountOf('10')],
      );
      const second = await pay('100');
      assert.deepEqual([second.arrearsPaid, second.units, second.arrears], [amountOf('10'), 36_000n, 0n]);
    });

    it('refuses what is no money, no meter or no reason', async () => {
      const refuse = (meterNumber: string, amount: number, memo: string, code: string) =>
        assert.rejects(charge(test.database, { meterNumber, amount, memo }, operator), { code });
      await refuse('METER001', 0.001, 'x', 'SCHEMA_INVALID');
      await refuse('METER001', -1, 'x', 'SCHEMA_INVALID');
      await refuse('METER001', 1, ' ', 'SCHEMA_INVALID');
      await refuse('METER009', 1, 'x', 'METER_UNKNOWN');
    });
  });
});

describe('the settlement of a reversal', () => {
  for (const [credit, arrears, moved] of [
    ['0', '0', '0'],
    ['0.0004', '-5', '0'],
    ['-0.0004', '-5', '-0.01'],
    ['-0.01', '0', '-0.01'],
    ['0', '40', '-40'],
    ['-10', '40', '-40'],
    ['-50.001', '40', '-50.01'],
  ] as const) {
    it(`settles a credit of ${credit} and arrears of ${arrears} by ${moved}`, () => {
      const settled = settlement(amountOf(credit), amountOf(arrears));
      assert.equal(settled, amountOf(moved));
      assert.ok(amountOf(credit) - settled >= 0n);
      assert.ok(amountOf(arrears) + settled <= 0n);
    });
  }
});

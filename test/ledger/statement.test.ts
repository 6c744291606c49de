import assert from 'node:assert/strict';
import { ensureAccounts, systemAccount } from '../../src/ledger/accounts.js';
import { balanceOf } from '../../src/ledger/balance.js';
import { charge } from '../../src/ledger/charge.js';
import { post } from '../../src/ledger/entries.js';
import { reverse } from '../../src/ledger/reversal.js';
import { sell } from '../../src/ledger/sale.js';
import { statementOf, type StatementLine } from '../../src/ledger/statement.js';
import { createTariff } from '../../src/ledger/tariffs.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { amountOf, keepPayment, openBooks } from './books.js';

const operator = { name: 'ada' };

describe('a statement', () => {
  let test: TestDatabase;
  let paidAtMs: number;
  before(async () => {
    test = await createTestDatabase();
    await openBooks(test.database, 'METER001', 'METER002', 'METER003');
    await createTariff(
      test.database,
      {
        plan: 'default',
        blocks: [
          { from: 0, price: 30 },
          { from: 3, price: 40 },
        ],
        payment_fee: 5,
        arrears_share: 0.5,
      },
      operator,
    );
    paidAtMs = Date.now();
    await charge(test.database, { meterNumber: 'METER001', amount: 40, memo: 'a seal' }, operator);
    await pay('145', 'QK1');
    await consume([
      ['METER001', '0.0048'],
      ['METER002', '2'],
      ['METER001', '0.1'],
    ]);
    await pay('5.01', 'QK2');
    await pay('25', 'QK3', 'METER002');
    await reverse(test.database, 'QK1', operator, 'a mistake');
  });
  after(() => test.drop());

  async function pay(amount: string, receipt: string, meterId = 'METER001'): Promise<void> {
    await test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf(amount), 'accepted', receipt);
      const paidAt = new Date(paidAtMs);
      await sell(tx, { paymentId, meterId, amount: amountOf(amount), paidAt, caller: 'test' });
    });
  }

  async function consume(reports: readonly (readonly [meterId: string, units: string])[]): Promise<void> {
    await test.database.transaction(async (tx) => {
      await ensureAccounts(
        tx,
        reports.map(([meterId]) => meterId),
        null,
      );
      const { rows } = await tx.query<{ id: string; meter_id: string }>({
        text: `select id, meter_id from accounts where kind = 'units' order by id for update`,
      });
      const entries = reports.map(([meterId, units]) => ({
        accountId: rows.find(({ meter_id }) => meter_id === meterId)?.id ?? '',
        amount: -amountOf(units),
      }));
      const total = entries.reduce((sum, { amount }) => sum - amount, 0n);
      const consumed = { accountId: await systemAccount(tx, 'consumed'), amount: total };
      await post(tx, { kind: 'consumption', caller: 'meter', entries: [...entries, consumed] });
    });
  }

  /** The parts that matter, in a row. */
  const shown = (line: StatementLine) => [
    line.kind,
    line.units,
    line.balance,
    line.receipt,
    line.money?.paid ?? null,
    line.money?.energy_cost ?? null,
    line.money?.arrears_paid ?? null,
    line.money?.credit ?? null,
    line.money?.arrears ?? null,
  ];

  it('tells every movement with the balance after it, energy and money side by side', async () => {
    const { data, total } = await statementOf(test.database, 'METER001', { order: 'asc' });
    assert.equal(total, 6);
    // 145 - 5 = 140; half of it, at most 40, to arrears; 100 buys 3 at 30 and 0.25 at 40.
    assert.deepEqual(data.map(shown), [
      ['charge', 0, 0, null, 0, 0, 0, 0, 40],
      ['sale', 3.25, 3.25, 'QK1', 145, 100, 40, 0, 0],
      ['consumption', -0.0048, 3.2452, null, null, null, null, null, null],
      ['consumption', -0.1, 3.1452, null, null, null, null, null, null],
      ['sale', 0.0002, 3.1454, 'QK2', 5.01, 0.01, 0, 0, 0],
      ['reversal', -3.25, -0.1046, 'QK1', -145, -100, -40, 0, 40],
    ]);
    assert.deepEqual(data[1]?.money?.blocks, [
      { price: 30, units: 3 },
      { price: 40, units: 0.25 },
    ]);
    assert.equal(data[0]?.money?.charged, 40);
    assert.equal(data[0]?.memo, 'a seal');
    assert.equal(data[1]?.money?.payment_fee, 5);
    assert.equal(data[1]?.occurred_at, new Date(paidAtMs).toISOString());
    assert.equal(data[5]?.memo, 'a mistake');
  });

  it('comes in pages, the newest first', async () => {
    const pages = await Promise.all(
      [1, 2, 3, 4].map((page) => statementOf(test.database, 'METER001', { page, limit: 2 })),
    );
    const all = await statementOf(test.database, 'METER001');
    assert.deepEqual(
      pages.flatMap(({ data }) => data),
      all.data,
    );
    assert.deepEqual(
      all.data.map(({ balance }) => balance),
      [-0.1046, 3.1454, 3.1452, 3.2452, 3.25, 0],
    );
    assert.equal(pages[3]?.data.length, 0);
    assert.equal(pages[0]?.total, 6);
  });

  it('is narrowed by kind and by time', async () => {
    const sales = await statementOf(test.database, 'METER001', { kind: 'sale' });
    assert.deepEqual([sales.total, sales.data.map(({ receipt }) => receipt)], [2, ['QK2', 'QK1']]);
    const at = sales.data[0]?.posted_at ?? '';
    const since = await statementOf(test.database, 'METER001', { start: at });
    assert.deepEqual(
      since.data.map(({ kind }) => kind),
      ['reversal', 'sale'],
    );
    const before = await statementOf(test.database, 'METER001', { end: at });
    assert.equal(before.total, 4);
  });

  it('is empty of a meter that never moved anything, and none of an unknown one', async () => {
    const empty = await statementOf(test.database, 'METER003');
    assert.deepEqual([empty.data, empty.total], [[], 0]);
    for (const unknown of ['METER009', 'METER\u0000001', ''])
      await assert.rejects(statementOf(test.database, unknown), { code: 'METER_UNKNOWN' });
    await assert.rejects(statementOf(test.database, 'METER001', { kind: 'gift', limit: '0' }), {
      code: 'SCHEMA_INVALID',
    });
  });

  it('outlives the registration of its meter', async () => {
    await test.database.query({ text: `delete from devices where meter_id = 'METER002'` });
    const { data } = await statementOf(test.database, 'METER002');
    assert.deepEqual(
      data.map(({ kind, balance }) => [kind, balance]),
      [
        ['sale', -1.3334],
        ['consumption', -2],
      ],
    );
  });

  it('ends where the balance is', async () => {
    const { balance, arrears, credit, currency, updated_at } = await balanceOf(test.database, 'METER001');
    assert.deepEqual([balance, arrears, credit, currency], [-0.1046, 40, 0, 'KES']);
    assert.ok(Date.parse(updated_at) > 0);
    const fresh = await balanceOf(test.database, 'METER003');
    assert.deepEqual([fresh.balance, fresh.arrears, fresh.credit], [0, 0, 0]);
    await assert.rejects(balanceOf(test.database, 'METER009'), { code: 'METER_UNKNOWN' });
  });
});

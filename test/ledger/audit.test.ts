import assert from 'node:assert/strict';
import { watchLedger, type LedgerAudit } from '../../src/ledger/audit.js';
import { reverse } from '../../src/ledger/reversal.js';
import { sell } from '../../src/ledger/sale.js';
import { toSuspense } from '../../src/ledger/suspense.js';
import { configureLogging } from '../../src/operation/logging.js';
import { metrics } from '../../src/operation/metrics.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { amountOf, keepPayment, openBooks } from './books.js';

describe('the check of the books', () => {
  let test: TestDatabase;
  let audit: LedgerAudit | undefined;
  before(() => configureLogging({ level: 'silent' }));
  after(() => configureLogging({ level: 'info' }));
  beforeEach(async () => {
    test = await createTestDatabase();
    await openBooks(test.database, 'METER001');
    for (const receipt of ['QK1', 'QK2', 'QK3']) await pay('100', receipt);
    await test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf('7'), 'suspense');
      await toSuspense(tx, { paymentId, amount: amountOf('7'), paidAt: null, caller: 'test' });
    });
    await reverse(test.database, 'QK2', { name: 'ada' });
  });
  afterEach(async () => {
    await audit?.close();
    await test.drop();
  });

  async function pay(amount: string, receipt: string): Promise<void> {
    await test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf(amount), 'accepted', receipt);
      await sell(tx, {
        paymentId,
        meterId: 'METER001',
        amount: amountOf(amount),
        paidAt: null,
        caller: 'test',
      });
    });
  }

  /** What only a superuser can do, who turns the triggers off. */
  async function forge(text: string): Promise<void> {
    await test.database.transaction(async (tx) => {
      await tx.query({ text: `set local session_replication_role = replica` });
      await tx.query({ text });
    });
  }

  const shownBy = async () => (await metrics.ledgerDiscrepancies.get()).values[0]?.value;

  it('finds nothing wrong in books that are right, in parts of any size', async () => {
    for (const rowsMax of [1, 7, 20_000]) {
      audit = watchLedger(test.database, { rowsMax });
      const result = await audit.run();
      assert.deepEqual(result.found, []);
      assert.ok(result.entries > 10);
      await audit.close();
    }
    assert.equal(await shownBy(), 0);
  });

  it('is not misled by what is being sold meanwhile', async () => {
    audit = watchLedger(test.database, { rowsMax: 5 });
    const selling = Promise.all(Array.from({ length: 60 }, (_, index) => pay('25', `QL${index}`)));
    for (let look = 0; look < 20; look++) assert.deepEqual((await audit.run()).found, []);
    await selling;
    assert.deepEqual((await audit.run()).found, []);
  });

  for (const [title, text, kinds] of [
    [
      'a balance that was edited',
      `update accounts set balance = balance + 1 where kind = 'units'`,
      ['cache'],
    ],
    [
      'a balance of an account that has none',
      `update accounts set balance = 1 where kind = 'provider'`,
      ['cache'],
    ],
    [
      'an entry that was edited',
      `update ledger_entries set amount = amount + 1 where id = (
         select min(e.id) from ledger_entries e join accounts a on a.id = e.account_id where a.kind = 'units')`,
      ['chain', 'sale', 'sum'],
    ],
    [
      'an entry that was deleted',
      `delete from ledger_entries where id = (
         select min(e.id) from ledger_entries e join accounts a on a.id = e.account_id where a.kind = 'units')`,
      ['chain', 'sale', 'sum'],
    ],
    [
      'a whole transaction that was deleted',
      `delete from ledger_entries where transaction_id = (select min(id) from ledger_transactions)`,
      ['chain', 'payment', 'sale'],
    ],
    [
      'a payment that was invented',
      `insert into payments (channel, outcome, receipt, amount, currency) values ('c2b', 'accepted', 'QK9', 50, 'KES')`,
      ['payment'],
    ],
    ['a payment that was edited', `update payments set amount = 90 where receipt = 'QK1'`, ['payment']],
    ['a sale that was edited', `update sales set units = 5 where id = (select min(id) from sales)`, ['sale']],
  ] as const) {
    it(`finds ${title}, also between parts`, async () => {
      await forge(text);
      for (const rowsMax of [1, 20_000]) {
        audit = watchLedger(test.database, { rowsMax });
        const { found, discrepancies } = await audit.run();
        assert.deepEqual([...new Set(found.map(({ kind }) => kind))].sort(), kinds);
        assert.equal(await shownBy(), discrepancies);
        await audit.close();
      }
    });
  }

  it('looks at what is new, keeps what was found, and forgets a balance that was put right', async () => {
    audit = watchLedger(test.database);
    const whole = await audit.run();
    await pay('50', 'QK4');
    await audit.run();
    const second = await audit.run();
    assert.ok(second.entries < whole.entries, 'it began from the start again');
    await forge(`update accounts set balance = balance + 1 where kind = 'units'`);
    assert.equal((await audit.run()).discrepancies, 1);
    await forge(`update accounts set balance = balance - 1 where kind = 'units'`);
    assert.equal((await audit.run()).discrepancies, 0);
    await forge(`insert into payments (channel, outcome, receipt, amount, currency)
                 values ('c2b', 'accepted', 'QK9', 50, 'KES')`);
    for (let look = 0; look < 4; look++) assert.equal((await audit.run()).discrepancies, 1);
  });
});

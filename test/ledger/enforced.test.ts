import assert from 'node:assert/strict';
import type { Session } from '../../src/database/database.js';
import { ensureAccounts, lockAccounts, systemAccount } from '../../src/ledger/accounts.js';
import { post } from '../../src/ledger/entries.js';
import { sell } from '../../src/ledger/sale.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { amountOf, balances, keepPayment, openBooks } from './books.js';

/** [P-2]: what the database refuses, whoever asks. The tests connect as the owner of everything, a superuser. */
describe('the database', () => {
  let test: TestDatabase;
  let units: string;
  let issued: string;
  before(async () => {
    test = await createTestDatabase();
    await openBooks(test.database, 'METER001');
    await test.database.transaction(async (tx) => {
      const paymentId = await keepPayment(tx, amountOf('100'));
      await sell(tx, {
        paymentId,
        meterId: 'METER001',
        amount: amountOf('100'),
        paidAt: null,
        caller: 'test',
      });
    });
    const accounts = await lockAccounts(test.database, ['METER001']);
    units = accounts.find(({ kind }) => kind === 'units')?.id ?? '';
    issued = await systemAccount(test.database, 'issued');
  });
  after(() => test.drop());

  const untouched = async () =>
    assert.deepEqual(await balances(test.database), {
      issued: '-4',
      provider: '-100',
      revenue: '100',
      'units METER001': '4',
    });
  afterEach(untouched);

  for (const [table, column] of [
    ['ledger_entries', 'amount = amount'],
    ['ledger_transactions', 'memo = memo'],
    ['payments', 'reason = reason'],
    ['sales', 'units = units'],
    ['tariffs', 'plan = plan'],
  ] as const) {
    for (const [what, text] of [
      ['updates', `update ${table} set ${column}`],
      ['deletes', `delete from ${table}`],
      ['truncates', `truncate ${table} cascade`],
    ] as const) {
      it(`refuses ${what} of ${table}, also by their owner`, async () => {
        await assert.rejects(test.database.query({ text }), {
          code: '23001',
          message: /what is entered stays/,
        });
      });
    }
  }

  it('refuses updates that hit no row, so that nobody believes in them', async () => {
    await assert.rejects(test.database.query({ text: 'delete from payments where id = -1' }), {
      code: '23001',
    });
  });

  for (const text of [
    'update accounts set balance = balance + 1',
    `update accounts set updated_at = now()`,
    `update accounts set meter_id = 'METER002' where meter_id is not null`,
    'delete from accounts',
    'truncate accounts cascade',
    `insert into accounts (kind, meter_id, currency, balance) values ('units', 'METER002', '', 5)`,
    `with up as (update accounts set balance = 5 returning id) select from up`,
    `do $$ begin update accounts set balance = 5; end $$`,
  ]) {
    it(`refuses: ${text}`, async () => {
      await assert.rejects(test.database.query({ text }), { code: '23001' });
    });
  }

  it('has energy in energy accounts and money in those of a currency', async () => {
    const insert = (kind: string, meter: string | null, currency: string) =>
      test.database.query({
        text: 'insert into accounts (kind, meter_id, currency) values ($1, $2, $3)',
        values: [kind, meter, currency],
      });
    await assert.rejects(insert('units', 'METER002', 'KES'), { constraint: 'accounts_currency_check' });
    await assert.rejects(insert('credit', 'METER002', ''), { constraint: 'accounts_currency_check' });
    await assert.rejects(insert('credit', null, 'KES'), { constraint: 'accounts_meter_check' });
    await assert.rejects(insert('revenue', 'METER002', 'KES'), { constraint: 'accounts_meter_check' });
  });

  it('refuses a transaction that is not balanced, when it commits', async () => {
    await assert.rejects(
      test.database.transaction(async (tx) => {
        await lockAccounts(tx, ['METER001']);
        await post(tx, {
          kind: 'consumption',
          caller: 'test',
          entries: [
            { accountId: units, amount: amountOf('-1') },
            { accountId: issued, amount: amountOf('0.9999') },
          ],
        });
      }),
      { constraint: 'ledger_transactions_balanced', message: /-0.0001/ },
    );
  });

  it('refuses money against energy, though the sum of the numbers is 0', async () => {
    const revenue = await systemAccount(test.database, 'revenue', 'KES');
    await assert.rejects(
      test.database.transaction((tx) =>
        post(tx, {
          kind: 'charge',
          caller: 'test',
          entries: [
            { accountId: issued, amount: amountOf('-1') },
            { accountId: revenue, amount: amountOf('1') },
          ],
        }),
      ),
      { constraint: 'ledger_transactions_balanced' },
    );
  });

  it('refuses a transaction without entries', async () => {
    await assert.rejects(
      test.database.query({ text: `insert into ledger_transactions (kind) values ('sale')` }),
      { constraint: 'ledger_transactions_balanced' },
    );
  });

  /** Balanced in itself; only it comes late. */
  const addTo = (session: Session, transaction: string) =>
    session.query({
      text: `insert into ledger_entries (transaction_id, account_id, amount)
             select ${transaction}, id, amount from (values (-1), (1)) as v (amount), accounts where id = $1`,
      values: [issued],
    });

  it('refuses entries that are added to a transaction later', async () => {
    await assert.rejects(addTo(test.database, '(select max(id) from ledger_transactions)'), {
      constraint: 'ledger_entries_transaction',
    });
    await assert.rejects(addTo(test.database, '-1'), { constraint: 'ledger_entries_transaction' });
  });

  for (const settled of [false, true]) {
    it(`refuses a second statement of entries${settled ? ', also after the balance was looked at' : ''}`, async () => {
      await assert.rejects(
        test.database.transaction(async (tx) => {
          await tx.query({ text: `insert into ledger_transactions (kind) values ('token')` });
          await addTo(tx, '(select max(id) from ledger_transactions)');
          if (settled) await tx.query({ text: 'set constraints all immediate' });
          await addTo(tx, '(select max(id) from ledger_transactions)');
        }),
        { constraint: 'ledger_entries_transaction' },
      );
    });
  }

  it('refuses a balance_after that does not follow', async () => {
    await assert.rejects(
      test.database.query({
        text: `with header as (insert into ledger_transactions (kind) values ('consumption') returning id)
               insert into ledger_entries (transaction_id, account_id, amount, balance_after)
               select header.id, e.* from header, (values ($1::bigint, -1, 3.5), ($2::bigint, 1, null)) e`,
        values: [units, issued],
      }),
      { constraint: 'ledger_entries_account' },
    );
  });

  it('refuses entries of no account, and parts of a ten-thousandth of a unit', async () => {
    const enter = (accountId: string, amount: string) =>
      test.database.transaction((tx) =>
        post(tx, {
          kind: 'token',
          caller: 'test',
          entries: [
            { accountId, amount: amountOf(amount) },
            { accountId: issued, amount: -amountOf(amount) },
          ],
        }),
      );
    await assert.rejects(enter('999999', '1'), { constraint: 'ledger_entries_account' });
    await assert.rejects(enter(units, '0.00001'), { constraint: 'ledger_entries_account' });
  });

  it('refuses a tariff whose blocks do not begin at 0 or cost nothing', async () => {
    for (const blocks of [
      '[]',
      '{}',
      '[{"from": 1, "price": 5}]',
      '[{"from": 0, "price": 0}]',
      '[{"from": 0}]',
    ]) {
      await assert.rejects(
        test.database.query({
          text: `insert into tariffs (plan, currency, time_zone, valid_from, blocks)
                 values ('cheap', 'KES', 'Africa/Nairobi', now(), $1::jsonb)`,
          values: [blocks],
        }),
        { constraint: 'tariffs_blocks_check' },
        blocks,
      );
    }
  });

  it('follows each account through entries of one statement', async () => {
    await test.database.transaction(async (tx) => {
      await ensureAccounts(tx, ['METER009'], null);
      const account = await tx.query<{ id: string }>({
        text: `select id from accounts where meter_id = 'METER009'`,
      });
      const accountId = account.rows[0]?.id ?? '';
      const entries = ['3', '-1', '-2'].map((amount) => ({ accountId, amount: amountOf(amount) }));
      await post(tx, { kind: 'token', caller: 'test', entries });
    });
    const { rows } = await test.database.query<{ held: string }>({
      text: `select trim_scale(balance_after)::text as held from ledger_entries e join accounts a on a.id = e.account_id
              where a.meter_id = 'METER009' order by e.id`,
    });
    assert.deepEqual(
      rows.map(({ held }) => held),
      ['3', '2', '0'],
    );
  });
});

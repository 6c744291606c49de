import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ensureAccounts, systemAccount } from '../../src/ledger/accounts.js';
import { charge } from '../../src/ledger/charge.js';
import { post } from '../../src/ledger/entries.js';
import { formatAmount, parseAmount } from '../../src/ledger/money.js';
import { reverse } from '../../src/ledger/reversal.js';
import { sell } from '../../src/ledger/sale.js';
import { createTariff } from '../../src/ledger/tariffs.js';
import { keepPayment, openBooks } from '../ledger/books.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const meterId = 'METER001';
const operator = { name: 'ada' };
const doc = readFileSync(resolve(__dirname, '../../docs/money.md'), 'utf8');
const examples = doc
  .slice(doc.indexOf('## Worked examples'), doc.indexOf('## What an operator can do'))
  .split('\n### ')
  .slice(1);

describe('docs/money.md, worked examples', () => {
  it('are all found', () => assert.equal(examples.length, 7));

  for (const example of examples) {
    it(`${example.slice(0, example.indexOf('\n'))}: is what happens`, async () => {
      const test = await createTestDatabase();
      try {
        await openBooks(test.database, meterId);
        await tariffOf(test, example);
        const [steps = [], entries] = tablesOf(example);
        assert.ok(steps.length > 1);
        for (const [step = '', ...cells] of steps) {
          await take(test, step);
          assert.deepEqual(await after(test), cells.map(amountIn), step);
        }
        if (entries !== undefined) assert.deepEqual(await lastEntries(test), entries);
      } finally {
        await test.drop();
      }
    });
  }
});

/** Valid since before the first step of any example. */
async function tariffOf({ database }: TestDatabase, example: string): Promise<void> {
  const json = /```json\n(.*?)```/s.exec(example)?.[1] ?? '';
  const version = { ...(JSON.parse(json) as object), plan: 'default', valid_from: '2027-01-01T00:00:00Z' };
  await createTariff(database, version, operator, new Date('2027-01-01T00:00:00Z'));
}

/** The rows of each table without its head, cells without their spaces. */
function tablesOf(example: string): string[][][] {
  return [...example.matchAll(/(?:^\|.*\n?)+/gm)].map(([table]) =>
    table
      .trim()
      .split('\n')
      .slice(2)
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      ),
  );
}

async function take(test: TestDatabase, step: string): Promise<void> {
  const [, verb, amount = '', , day = '2027-01-15'] = /^(\w+) ([\d.]+)( on (.+))?$/.exec(step) ?? [];
  if (verb === 'pay') await pay(test, amount, new Date(`${day}T12:00:00Z`));
  else if (verb === 'consume') await consume(test, amount);
  else if (verb === 'charge')
    await charge(test.database, { meterNumber: meterId, amount, memo: 'an example' }, operator);
  else if (verb === 'reverse') await reverse(test.database, `EXAMPLE${amount}`, operator);
  else assert.fail(`no step: ${step}`);
}

async function pay({ database }: TestDatabase, amount: string, now: Date): Promise<void> {
  await database.transaction(async (tx) => {
    const { rows } = await tx.query<{ n: string }>({ text: 'select count(*) + 1 as n from payments' });
    const paymentId = await keepPayment(tx, parseAmount(amount), 'accepted', `EXAMPLE${rows[0]?.n}`);
    await sell(tx, { paymentId, meterId, amount: parseAmount(amount), paidAt: null, caller: 'test' }, now);
  });
}

async function consume({ database }: TestDatabase, units: string): Promise<void> {
  await database.transaction(async (tx) => {
    await ensureAccounts(tx, [meterId], null);
    const { rows } = await tx.query<{ id: string }>({
      text: `select id from accounts where meter_id = $1 and kind = 'units' for update`,
      values: [meterId],
    });
    await post(tx, {
      kind: 'consumption',
      caller: 'meter',
      entries: [
        { accountId: rows[0]?.id ?? '', amount: -parseAmount(units) },
        { accountId: await systemAccount(tx, 'consumed'), amount: parseAmount(units) },
      ],
    });
  });
}

/** What the last ledger transaction did, and what the meter holds now: the columns of the tables. */
async function after({ database }: TestDatabase): Promise<bigint[]> {
  const { rows } = await database.query<Record<string, string>>({
    text: `with last as (select max(id) as id from ledger_transactions),
                held as (select kind, balance from accounts where meter_id = $1)
           select coalesce(s.payment_fee, 0)::text as fee, coalesce(s.monthly_fee, 0)::text as month,
                  coalesce(s.arrears_paid, 0)::text as to_arrears, coalesce(s.energy_cost, 0)::text as energy,
                  coalesce((select sum(e.amount) from ledger_entries e join accounts a on a.id = e.account_id
                             where e.transaction_id = last.id and a.kind = 'units'), 0)::text as units,
                  coalesce((select balance from held where kind = 'credit'), 0)::text as credit,
                  coalesce((select -balance from held where kind = 'arrears'), 0)::text as owed,
                  coalesce((select balance from held where kind = 'units'), 0)::text as balance
             from last left join sales s on s.transaction_id = last.id`,
    values: [meterId],
  });
  return Object.values(rows[0] ?? {}).map(parseAmount);
}

async function lastEntries({ database }: TestDatabase): Promise<string[][]> {
  const { rows } = await database.query<{ kind: string; amount: string }>({
    text: `select a.kind, e.amount::text from ledger_entries e join accounts a on a.id = e.account_id
            where e.transaction_id = (select max(id) from ledger_transactions) order by e.id`,
  });
  return rows.map(({ kind, amount }) => [kind, formatAmount(parseAmount(amount))]);
}

function amountIn(cell: string): bigint {
  return parseAmount(cell === '' ? '0' : cell);
}

import { openDatabase, type Database } from '../../../src/database/database.js';
import { discrepancies, one } from '../../balances/meters.js';
import { prepaidBalance } from '../load/reading-plan.js';
import type { FoundBook } from './books.js';
import type { House } from './house.js';
import { checkoutOf, phone, unitsPerMoney, type PlannedPayment } from './payments.js';

/** The product's own tables. */
export function ourHouse(url: string): House & { readonly database: Database } {
  const database = openDatabase({ url, connectionsMax: 4, queryTimeoutMs: 120_000 });
  return {
    database,
    fund: (meterIds) => fund(database, meterIds),
    openPrompts: (payments) => openPrompts(database, payments),
    async writes() {
      const found = await one<{ count: number }>(
        database,
        `select ((select count(*) from consumption_reports)
               + (select count(*) from payments where outcome = 'accepted'))::float8 as count`,
      );
      return found.count;
    },
    books: () => books(database),
    async audit() {
      const wrong = await discrepancies(database);
      if (wrong !== 0) throw new Error(`The books are wrong: ${wrong} accounts differ from their entries.`);
    },
    close: () => database.close(),
  };
}

async function fund(database: Database, meterIds: readonly string[]): Promise<void> {
  await database.transaction(async (tx) => {
    await tx.query({
      text: `insert into accounts (kind, meter_id, currency) select 'units', m, '' from unnest($1::text[]) m`,
      values: [meterIds],
    });
    await tx.query({
      text: `with header as (insert into ledger_transactions (kind) values ('token') returning id)
             insert into ledger_entries (transaction_id, account_id, amount, balance_after)
             select header.id, a.id, case when a.kind = 'units' then $1::numeric else -$1::numeric * $2 end,
                    case when a.kind = 'units' then $1::numeric end
               from header, accounts a where a.kind in ('units', 'issued')`,
      values: [prepaidBalance / 10_000, meterIds.length],
    });
  });
}

async function openPrompts(database: Database, payments: readonly PlannedPayment[]): Promise<void> {
  await database.query({
    text: `insert into payment_prompts
             (checkout_request_id, meter_number, meter_id, amount, currency, phone_number, caller, state)
           select u.checkout, u.meter_id, u.meter_id, u.amount, 'KES', $4, 'bench', 'open'
             from unnest($1::text[], $2::text[], $3::numeric[]) as u (checkout, meter_id, amount)`,
    values: [
      payments.map(({ n }) => checkoutOf(n)),
      payments.map(({ meterId }) => meterId),
      payments.map(({ amount }) => amount),
      phone,
    ],
  });
}

async function books(database: Database): Promise<Map<string, FoundBook>> {
  const { rows } = await database.query<{ meter_id: string } & FoundBook>({
    text: `select a.meter_id, (a.balance * 10000)::float8 as balance,
                  coalesce(p.paid, 0)::float8 * $1::float8 as paid, coalesce(c.used * 10000, 0)::float8 as used
             from accounts a
             left join (select meter_id, sum(amount) as paid from payments
                         where outcome = 'accepted' group by meter_id) p on p.meter_id = a.meter_id
             left join (select meter_id, sum(units) as used from consumption_reports
                         group by meter_id) c on c.meter_id = a.meter_id
            where a.kind = 'units'`,
    values: [unitsPerMoney],
  });
  return new Map(rows.map(({ meter_id, ...book }) => [meter_id, book]));
}

import { Client } from 'pg';
import { prepaidBalance } from '../load/reading-plan.js';
import type { FoundBook } from './books.js';
import type { House } from './house.js';
import { checkoutOf, unitsPerMoney } from './payments.js';

/**
 * The plain system's tables. Its balance is the column that it reads and writes; `paid`, `used` and `writes` are ours, so
 * that it can be told what it wrote twice from what it overwrote.
 */
export async function plainHouse(url: string): Promise<House> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return {
    async fund(meterIds) {
      await client.query({
        text: `insert into meters (meter_id, balance) select m, $2::numeric from unnest($1::text[]) m`,
        values: [meterIds, prepaidBalance / 10_000],
      });
    },
    async openPrompts(payments) {
      await client.query({
        text: `insert into prompts (checkout_request_id, meter_id) select * from unnest($1::text[], $2::text[])`,
        values: [payments.map(({ n }) => checkoutOf(n)), payments.map(({ meterId }) => meterId)],
      });
    },
    async writes() {
      const { rows } = await client.query<{ count: number }>(
        'select sum(writes)::float8 as count from meters',
      );
      return rows[0]?.count ?? 0;
    },
    async books() {
      const { rows } = await client.query<{ meter_id: string } & FoundBook>({
        text: `select meter_id, (balance * 10000)::float8 as balance, paid::float8 * $1::float8 as paid,
                      (used * 10000)::float8 as used
                 from meters`,
        values: [unitsPerMoney],
      });
      return new Map(rows.map(({ meter_id, ...book }) => [meter_id, book]));
    },
    // It has nothing that could be compared with anything.
    audit: () => Promise.resolve(),
    close: () => client.end(),
  };
}

export async function createPlainTables(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(
      `create table meters (
         meter_id text primary key,
         balance numeric(14, 4) not null,
         paid numeric not null default 0,
         used numeric not null default 0,
         writes int not null default 0
       ) with (fillfactor = 50);
       create table prompts (checkout_request_id text primary key, meter_id text not null)`,
    );
  } finally {
    await client.end();
  }
}

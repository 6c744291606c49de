import type { Database } from '../../src/database/database.js';
import { createRegistry } from '../../src/devices/registry.js';
import type { ConsumptionReport } from '../../src/balances/report.js';

/** Gives a meter units, as a sale does: entries and the wish for a command in one transaction; `onCommit` just before its commit. */
export async function credit(
  database: Database,
  meter_id: string,
  units: number,
  onCommit: () => void = () => {},
): Promise<void> {
  await database.transaction(async (tx) => {
    await tx.query({
      text: `insert into accounts (kind, meter_id, currency) values ('units', $1, '')
             on conflict on constraint accounts_key do nothing`,
      values: [meter_id],
    });
    await tx.query({
      text: `select from accounts where meter_id = $1 and kind = 'units' for no key update`,
      values: [meter_id],
    });
    await tx.query({
      text: `with header as (insert into ledger_transactions (kind) values ('token') returning id)
             insert into ledger_entries (transaction_id, account_id, amount, balance_after)
             select header.id, a.id, case when a.kind = 'units' then $2::numeric else -$2::numeric end,
                    case when a.kind = 'units' then a.balance + $2::numeric end
               from header, accounts a
              where a.kind = 'issued' or (a.kind = 'units' and a.meter_id = $1)`,
      values: [meter_id, units],
    });
    await tx.query({ text: `select want_balance_command($1, 'payment')`, values: [meter_id] });
    onCommit();
  });
}

export function registerMeter(database: Database, meter_id: string, drn?: string): Promise<unknown> {
  return createRegistry(database).create(
    { type: 'meter', meter_id, ...(drn === undefined ? {} : { drn }) },
    { name: 'test' },
  );
}

/** Units in ten-thousandths; a report at the given time, or without one. */
export function report(meter_id: string, more: Partial<ConsumptionReport> = {}): ConsumptionReport {
  return {
    delivery: 0,
    meter_id,
    device_id: null,
    units: 48,
    remaining: 52_452,
    total: null,
    time: null,
    received_at: Date.now(),
    topic: `smartmeter/${meter_id}/consumption`,
    qos: 1,
    payload: '{}',
    ...more,
  };
}

/** The ledger's balance of a meter, units with four decimals. */
export async function balanceOf(database: Database, meter_id: string): Promise<string | undefined> {
  const { rows } = await database.query<{ balance: string }>({
    text: `select balance::numeric(14, 4)::text as balance from accounts where meter_id = $1 and kind = 'units'`,
    values: [meter_id],
  });
  return rows[0]?.balance;
}

/** Sum of all accounts, and of all entries, per commodity: all are 0; and caches are the sums of their entries. */
export async function discrepancies(database: Database): Promise<number> {
  const { rows } = await database.query<{ wrong: number }>({
    text: `select (select count(*)::int from accounts a
                    where a.meter_id is not null
                      and a.balance <> (select coalesce(sum(amount), 0) from ledger_entries e where e.account_id = a.id))
                + (select count(*)::int from (
                     select 1 from ledger_entries e join accounts a on a.id = e.account_id
                      group by a.commodity, a.currency having sum(e.amount) <> 0) s) as wrong`,
  });
  return rows[0]?.wrong ?? -1;
}

export async function one<T extends object>(
  database: Database,
  text: string,
  ...values: unknown[]
): Promise<T> {
  const { rows } = await database.query<T>({ text, values });
  if (rows[0] === undefined) throw new Error(`no row: ${text}`);
  return rows[0];
}

import type { Database, Session } from '../../src/database/database.js';
import { formatAmount, parseAmount, type Amount } from '../../src/ledger/money.js';
import { ensureDefaultTariff } from '../../src/ledger/tariff-store.js';
import { createRegistry } from '../../src/devices/registry.js';

/** A database with the default tariff (25.00 KES, Africa/Nairobi) and these meters. */
export async function openBooks(database: Database, ...meterIds: string[]): Promise<void> {
  await ensureDefaultTariff(database, {
    pricePerUnit: '25.00',
    currency: 'KES',
    timeZone: 'Africa/Nairobi',
  });
  const registry = createRegistry(database);
  for (const meter_id of meterIds) await registry.create({ type: 'meter', meter_id }, { name: 'test' });
}

let receipts = 0;

/** A row of payments as intake makes it. @returns its id */
export async function keepPayment(
  session: Session,
  amount: Amount,
  outcome: 'accepted' | 'suspense' = 'accepted',
  receipt = `RCP${String(++receipts).padStart(7, '0')}`,
): Promise<string> {
  const { rows } = await session.query<{ id: string }>({
    text: `insert into payments (channel, outcome, receipt, amount, currency) values ('c2b', $1, $2, $3::numeric, 'KES')
           returning id`,
    values: [outcome, receipt, formatAmount(amount)],
  });
  return rows[0]?.id ?? '';
}

/** Money and energy in decimals: `amountOf('2.5')`. */
export const amountOf = parseAmount;

/** `units METER001` → what it holds, by the cache; only those that are not 0. */
export async function balances(session: Session): Promise<Record<string, string>> {
  const { rows } = await session.query<{ account: string; balance: string }>({
    text: `select a.kind || coalesce(' ' || a.meter_id, '') as account, trim_scale(sum(e.amount))::text as balance
             from accounts a join ledger_entries e on e.account_id = a.id group by 1 having sum(e.amount) <> 0 order by 1`,
  });
  return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]));
}

import type { Session } from '../database/database.js';
import { parseAmount, type Amount } from './money.js';

/** Of a meter: its energy; the customer's money; what the customer owes, as a negative amount. */
export type MeterAccountKind = 'units' | 'credit' | 'arrears';
/** Nobody's: energy sold and used up; money at the provider, earned, and without a meter. */
export type SystemAccountKind = 'issued' | 'consumed' | 'provider' | 'revenue' | 'fees' | 'suspense';

export interface MeterAccount {
  readonly id: string;
  readonly kind: MeterAccountKind;
  readonly meterId: string;
  /** '' of energy. */
  readonly currency: string;
  readonly balance: Amount;
}

/**
 * All accounts of these meters, locked until the end of the transaction in the order that everybody keeps (by id), so
 * that nobody waits in a circle. Call it once per transaction, before anything else of the ledger.
 */
export async function lockAccounts(tx: Session, meterIds: readonly string[]): Promise<MeterAccount[]> {
  const { rows } = await tx.query<{
    id: string;
    kind: MeterAccountKind;
    meter_id: string;
    currency: string;
    balance: string;
  }>({
    name: 'lock-accounts',
    text: `select id, kind, meter_id, currency, balance::text from accounts
            where meter_id = any($1::text[]) order by id for no key update`,
    values: [meterIds],
  });
  return rows.map(({ id, kind, meter_id, currency, balance }) => ({
    id,
    kind,
    meterId: meter_id,
    currency,
    balance: parseAmount(balance),
  }));
}

/** Those of one meter that a sale moves. */
export function meterAccounts(accounts: readonly MeterAccount[], currency: string) {
  const find = (kind: MeterAccountKind, of: string) =>
    accounts.find((account) => account.kind === kind && account.currency === of);
  return { units: find('units', ''), credit: find('credit', currency), arrears: find('arrears', currency) };
}

/**
 * Makes the accounts of these meters that are missing; lock them again afterwards. Without a currency only those of
 * energy: enough for a meter that reports consumption before anybody paid. A meter's energy comes first: consumption
 * locks nothing else, so it never holds what a sale waits for while it waits itself.
 */
export async function ensureAccounts(
  tx: Session,
  meterIds: readonly string[],
  currency: string | null,
): Promise<void> {
  await tx.query({
    name: 'ensure-accounts',
    text: `insert into accounts (kind, meter_id, currency)
           select k.kind, m.meter_id, k.currency
             from (select distinct meter_id from unnest($1::text[]) as meter_id) m
            cross join (values ('units', ''), ('credit', $2::text), ('arrears', $2::text)) as k (kind, currency)
            where k.currency is not null
            order by m.meter_id, k.kind desc
           on conflict on constraint accounts_key do nothing`,
    values: [meterIds, currency],
  });
}

/** The account that is nobody's; those of a currency exist from its first tariff on. They are never locked. */
export async function systemAccount(
  session: Session,
  kind: SystemAccountKind,
  currency = '',
): Promise<string> {
  const { rows } = await session.query<{ id: string }>({
    name: 'system-account',
    text: `select id from accounts where meter_id is null and kind = $1 and currency = $2`,
    values: [kind, currency],
  });
  const id = rows[0]?.id;
  if (id === undefined) throw new Error(`No account ${kind} of ${currency || 'energy'}: is there a tariff?`);
  return id;
}

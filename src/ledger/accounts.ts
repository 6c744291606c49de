import type { Session } from '../database/database.js';
import { DomainError } from '../errors.js';
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

/** What a sale to a meter moves, all in the currency of the installation. */
export interface MeterAccounts {
  readonly currency: string;
  readonly units: MeterAccount;
  readonly credit: MeterAccount;
  readonly arrears: MeterAccount;
}

/**
 * The accounts of these meters, made when they are missing, and locked until the end of the transaction. Everybody locks
 * by id, and makes accounts by meter before locking any, so that nobody waits in a circle: call it once per
 * transaction, for all its meters, before anything else of the ledger.
 * @throws DomainError CONFIGURATION when there is no tariff, hence no currency
 */
export async function lockMeters(
  tx: Session,
  meterIds: readonly string[],
): Promise<Map<string, MeterAccounts>> {
  const found = await lockKnownMeters(tx, meterIds);
  if (found !== null) return found;
  const wanted = [...new Set(meterIds)];
  await ensureAccounts(tx, wanted, await readCurrency(tx));
  return byMeter(await lockAccounts(tx, wanted), wanted);
}

/** The same for meters that have all their accounts; null, and nothing is locked, when one is missing. */
export async function lockKnownMeters(
  tx: Session,
  meterIds: readonly string[],
): Promise<Map<string, MeterAccounts> | null> {
  const wanted = [...new Set(meterIds)];
  const accounts = await lockAccounts(tx, wanted);
  return accounts.length === 0 && wanted.length > 0 ? null : byMeter(accounts, wanted);
}

function byMeter(accounts: readonly MeterAccount[], meterIds: readonly string[]): Map<string, MeterAccounts> {
  const found = new Map<string, Partial<Record<MeterAccountKind, MeterAccount>>>();
  for (const account of accounts) {
    const of = found.get(account.meterId) ?? {};
    of[account.kind] = account;
    found.set(account.meterId, of);
  }
  return new Map(
    meterIds.map((meterId) => {
      const { units, credit, arrears } = found.get(meterId) ?? {};
      if (units === undefined || credit === undefined || arrears === undefined)
        throw new Error(`The accounts of ${meterId} could not be made.`);
      return [meterId, { currency: credit.currency, units, credit, arrears }];
    }),
  );
}

/**
 * All three accounts of each of these meters, locked in the order of their ids. When one is missing: none, and nothing is
 * locked, because whoever makes an account must not hold one.
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
            where meter_id = any($1::text[]) and currency in ('', ${houseCurrency})
              and (select count(*) from accounts a
                    where a.meter_id = any($1::text[]) and a.currency in ('', ${houseCurrency})
                  ) = 3 * cardinality($1::text[])
            order by id for no key update`,
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

/**
 * Makes the accounts of these meters that are missing, in everybody's order; never while accounts are locked. Without a
 * currency only those of energy: enough for a meter that reports consumption before anybody paid.
 */
export async function ensureAccounts(
  session: Session,
  meterIds: readonly string[],
  currency: string | null,
): Promise<void> {
  await session.query({
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
  if (id === undefined) throw noTariff();
  return id;
}

/** The currency of the default plan: that of all plans, hence of the installation. */
const houseCurrency = `(select currency from tariffs where plan = 'default' limit 1)`;

/** @throws DomainError CONFIGURATION when there is no tariff */
export async function readCurrency(session: Session): Promise<string> {
  const { rows } = await session.query<{ currency: string | null }>({
    name: 'read-currency',
    text: `select ${houseCurrency} as currency`,
  });
  const currency = rows[0]?.currency;
  if (typeof currency !== 'string') throw noTariff();
  return currency;
}

export function noTariff(): DomainError {
  return new DomainError('CONFIGURATION', 'There is no tariff: the plan "default" has no version.');
}

import type { Session } from '../database/database.js';
import { ensureAccounts, lockAccounts, meterAccounts, systemAccount, type MeterAccount } from './accounts.js';
import { post, type Entry } from './entries.js';
import { fromTenThousandths, type Amount } from './money.js';
import { saveSale } from './sale-store.js';
import { readTerms, type Terms } from './tariff-store.js';
import { price, type Priced } from './tariff.js';

export interface SaleOrder {
  /** Of the row in payments, made in this database transaction or before. */
  readonly paymentId: string;
  readonly meterId: string;
  /** Above 0. In the currency of the installation (`readCurrency`). */
  readonly amount: Amount;
  /** By the provider; null: now. */
  readonly paidAt: Date | null;
  readonly caller: string;
  readonly memo?: string | undefined;
  /** Where the money comes from. */
  readonly from?: 'provider' | 'suspense';
  /** Instead of the database's clock. */
  readonly now?: Date;
}

/** What a payment bought, with the arithmetic: creditBefore + amount = fees, arrears, energy, creditAfter. */
export interface Sale extends Priced {
  readonly transactionId: string;
  readonly meterId: string;
  readonly plan: string;
  readonly tariffId: string;
  readonly currency: string;
  /** First day of the calendar month: 2026-11-01. */
  readonly month: string;
  readonly amount: Amount;
  readonly creditBefore: Amount;
  /** The meter's units after it. */
  readonly balance: Amount;
  /** What the customer still owes, not negative. */
  readonly arrears: Amount;
}

/**
 * Sells energy for a payment, in the transaction of whoever stores it. The meter's accounts stay locked until its end.
 * Does not ask for a balance command: the caller does (`want_balance_command`).
 * @throws DomainError CONFIGURATION without any tariff; the constraint ledger_transactions_payment_key when this
 * payment was sold before
 */
export async function sell(tx: Session, order: SaleOrder): Promise<Sale> {
  const { terms, units, credit, arrears } = await lockMeter(tx, order);
  const { tariff } = terms;
  const priced = price(
    {
      amount: order.amount,
      credit: credit.balance,
      arrears: -arrears.balance,
      unitsBefore: terms.unitsBefore,
      monthlyFeeCharged: terms.monthlyFeeCharged,
    },
    tariff,
  );
  const source = order.from ?? 'provider';
  const sourceId =
    source === 'provider' ? terms.accounts.provider : await systemAccount(tx, source, tariff.currency);
  const energy = fromTenThousandths(priced.units);
  const moved: (readonly [from: string, to: string, amount: Amount])[] = [
    [sourceId, credit.id, order.amount],
    [credit.id, terms.accounts.fees, priced.paymentFee],
    [arrears.id, terms.accounts.fees, priced.monthlyFee],
    [credit.id, arrears.id, priced.arrearsPaid],
    [credit.id, terms.accounts.revenue, priced.energyCost],
    [terms.accounts.issued, units.id, energy],
  ];
  const occurredAt = order.paidAt ?? undefined;
  const transactionId = await post(tx, {
    kind: source === 'provider' ? 'sale' : 'allocation',
    paymentId: order.paymentId,
    memo: order.memo,
    caller: order.caller,
    entries: moved.flatMap(([from, to, amount]): Entry[] => [
      { accountId: from, amount: -amount, occurredAt },
      { accountId: to, amount, occurredAt },
    ]),
  });
  const sale: Sale = {
    ...priced,
    transactionId,
    meterId: order.meterId,
    plan: tariff.plan,
    tariffId: tariff.id,
    currency: tariff.currency,
    month: terms.month,
    amount: order.amount,
    creditBefore: credit.balance,
    balance: units.balance + energy,
    arrears: priced.monthlyFee - arrears.balance - priced.arrearsPaid,
  };
  await saveSale(tx, order.paymentId, sale);
  return sale;
}

interface LockedMeter {
  readonly terms: Terms;
  readonly units: MeterAccount;
  readonly credit: MeterAccount;
  readonly arrears: MeterAccount;
}

/** Locks first, then reads what the month has seen: so nothing is sold between the two. */
async function lockMeter(tx: Session, { meterId, paidAt, now }: SaleOrder): Promise<LockedMeter> {
  for (const isLast of [false, true]) {
    const accounts = await lockAccounts(tx, [meterId]);
    const terms = await readTerms(tx, meterId, paidAt, now ?? null);
    const { currency } = terms.tariff;
    const { units, credit, arrears } = meterAccounts(accounts, currency);
    if (units !== undefined && credit !== undefined && arrears !== undefined)
      return { terms, units, credit, arrears };
    if (!isLast) await ensureAccounts(tx, [meterId], currency);
  }
  throw new Error(`The accounts of ${meterId} could not be made.`);
}

import type { Session } from '../database/database.js';
import { lockKnownMeters, lockMeters, type MeterAccounts } from './accounts.js';
import { postAll, type Entry } from './entries.js';
import { fromTenThousandths, type Amount } from './money.js';
import { saveSales } from './sale-store.js';
import { price, type Priced } from './tariff.js';
import { readTerms, type Occasion, type Terms } from './terms.js';

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
}

/** What a payment bought, with the arithmetic: creditBefore + amount = paymentFee + arrearsPaid + energyCost + creditAfter. */
export interface Sale extends Priced {
  readonly transactionId: string;
  readonly paymentId: string;
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

/** As `sellAll` for one payment. */
export async function sell(tx: Session, order: SaleOrder, now?: Date): Promise<Sale> {
  const [sale] = await sellAll(tx, [order], now);
  if (sale === undefined) throw new Error('A sale was lost.');
  return sale;
}

/** What sales go by: their meters, locked until the end of the transaction, and the terms of each. */
export interface SaleBasis {
  readonly meters: ReadonlyMap<string, MeterAccounts>;
  readonly terms: readonly Terms[];
}

/**
 * Sells energy for payments, one after the other, in the transaction of whoever stores them; any number in four
 * statements. The meters stay locked until its end. Does not ask for balance commands: the caller does
 * (`want_balance_command`).
 * @param now instead of the database's clock
 * @returns the sales in the order of the payments
 * @throws DomainError CONFIGURATION without any tariff; the constraint ledger_transactions_payment_key when a payment was
 * sold before
 */
export async function sellAll(tx: Session, orders: readonly SaleOrder[], now?: Date): Promise<Sale[]> {
  const sales = await enterSales(tx, orders, await lockSales(tx, orders, now));
  await saveSales(tx, sales);
  return sales;
}

/** The first step of `sellAll`, once per transaction. The payments need not be stored yet. */
export async function lockSales(tx: Session, occasions: readonly Occasion[], now?: Date): Promise<SaleBasis> {
  if (occasions.length === 0) return { meters: new Map(), terms: [] };
  const meterIds = occasions.map(({ meterId }) => meterId);
  // One way to the database for both; what is read second is as of after the locks.
  const [known, terms] = await Promise.all([lockKnownMeters(tx, meterIds), readTerms(tx, occasions, now)]);
  if (known !== null) return { meters: known, terms };
  return { meters: await lockMeters(tx, meterIds), terms: await readTerms(tx, occasions, now) };
}

/** The second: the ledger's entries. The third is `saveSales`. */
export async function enterSales(
  tx: Session,
  orders: readonly SaleOrder[],
  { meters, terms }: SaleBasis,
): Promise<Sale[]> {
  if (orders.length === 0) return [];
  const books = new Books(meters);
  const sold = orders.map((order, index) => books.sell(order, terms[index]));
  const ids = await postAll(
    tx,
    sold.map(({ sale, entries }, index) => ({
      kind: orders[index]?.from === 'suspense' ? 'allocation' : 'sale',
      paymentId: sale.paymentId,
      memo: orders[index]?.memo,
      caller: orders[index]?.caller ?? '',
      entries,
    })),
  );
  return sold.map(({ sale }, index) => Object.assign(sale, { transactionId: ids[index] ?? '' }));
}

interface Sold {
  readonly sale: Omit<Sale, 'transactionId'>;
  readonly entries: readonly Entry[];
}

/** The locked meters as they are after each sale of a batch: the next sale to the same meter goes on from there. */
class Books {
  readonly #meters: Map<string, MeterAccounts>;
  /** By meter and month. */
  readonly #bought = new Map<string, { units: bigint; isFeeCharged: boolean }>();

  constructor(meters: ReadonlyMap<string, MeterAccounts>) {
    this.#meters = new Map(meters);
  }

  sell(order: SaleOrder, terms: Terms | undefined): Sold {
    const { meterId, amount, paymentId } = order;
    const meter = this.#meters.get(meterId);
    if (meter === undefined || terms === undefined) throw new Error(`The meter ${meterId} is not locked.`);
    const { tariff, month } = terms;
    const key = `${month} ${meterId}`;
    const bought = this.#bought.get(key) ?? {
      units: terms.unitsBefore,
      isFeeCharged: terms.monthlyFeeCharged,
    };
    const priced = price(
      {
        amount,
        credit: meter.credit.balance,
        arrears: -meter.arrears.balance,
        unitsBefore: bought.units,
        monthlyFeeCharged: bought.isFeeCharged,
      },
      tariff,
    );
    this.#bought.set(key, {
      units: bought.units + priced.units,
      isFeeCharged: bought.isFeeCharged || priced.monthlyFee > 0n,
    });
    const balance = meter.units.balance + fromTenThousandths(priced.units);
    const owed = meter.arrears.balance - priced.monthlyFee + priced.arrearsPaid;
    this.#meters.set(meterId, {
      ...meter,
      units: { ...meter.units, balance },
      credit: { ...meter.credit, balance: priced.creditAfter },
      arrears: { ...meter.arrears, balance: owed },
    });
    const sale = {
      ...priced,
      paymentId,
      meterId,
      plan: tariff.plan,
      tariffId: tariff.id,
      currency: tariff.currency,
      month,
      amount,
      creditBefore: meter.credit.balance,
      balance,
      arrears: -owed,
    };
    return { sale, entries: entriesOf(order, priced, meter, terms.accounts) };
  }
}

function entriesOf(
  { amount, paidAt, from = 'provider' }: SaleOrder,
  priced: Priced,
  { units, credit, arrears }: MeterAccounts,
  nobodys: Terms['accounts'],
): Entry[] {
  const moved: (readonly [from: string, to: string, amount: Amount])[] = [
    [nobodys[from], credit.id, amount],
    [credit.id, nobodys.fees, priced.paymentFee],
    [arrears.id, nobodys.fees, priced.monthlyFee],
    [credit.id, arrears.id, priced.arrearsPaid],
    [credit.id, nobodys.revenue, priced.energyCost],
    [nobodys.issued, units.id, fromTenThousandths(priced.units)],
  ];
  const occurredAt = paidAt ?? undefined;
  return moved.flatMap(([source, target, part]) => [
    { accountId: source, amount: -part, occurredAt },
    { accountId: target, amount: part, occurredAt },
  ]);
}

import type { Database, Session } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { lockMeters } from './accounts.js';
import { post, type Entry } from './entries.js';
import { parseAmount, upToCents, type Amount } from './money.js';
import {
  findTransactions,
  lockPayment,
  saveReversal,
  type Entered,
  type KeptPayment,
} from './payment-store.js';
import { findSale, saveSale, type KeptSale } from './sale-store.js';

export interface Reversed {
  /** Of the row in payments that says so. */
  readonly paymentId: string;
  readonly receipt: string;
  readonly amount: Amount;
  readonly currency: string;
  /** Null: the money was still in suspense. */
  readonly meterId: string | null;
  /** Ten-thousandths of a unit that the meter lost. */
  readonly units: bigint;
  /** The meter's units after it, perhaps below zero. */
  readonly balance: Amount | null;
  /** What the customer owes after it, not negative. */
  readonly arrears: Amount;
}

/**
 * [H-15]: takes a payment back by new entries that mirror each of its own, once. The meter's balance may go below zero.
 * @throws DomainError PAYMENT_UNKNOWN, PAYMENT_REVERSED
 */
export async function reverse(
  database: Pick<Database, 'transaction'>,
  receipt: string,
  caller: Caller,
  reason: string | null = null,
): Promise<Reversed> {
  return database.transaction(async (tx) => {
    const payment = isReceipt(receipt) ? await lockPayment(tx, { receipt }) : undefined;
    if (payment === undefined)
      throw new DomainError('PAYMENT_UNKNOWN', 'No payment that credited anything has this receipt.');
    if (payment.reversed)
      throw new DomainError('PAYMENT_REVERSED', `The payment ${payment.receipt} was taken back before.`);
    const transactions = await findTransactions(tx, payment.id);
    const sale = await findSale(
      tx,
      transactions.map(({ id }) => id),
    );
    const meterId = sale?.meterId ?? null;
    const paymentId = await saveReversal(tx, payment, { meterId, caller: caller.name, reason });
    let taken: TakenBack = { units: 0n, balance: null, arrears: 0n };
    for (const transaction of transactions) {
      const wanted = { payment, paymentId, transaction, caller: caller.name, memo: reason ?? undefined };
      if (sale?.transactionId !== transaction.id) await mirror(tx, wanted, mirrored(transaction));
      else taken = await takeBack(tx, wanted, sale);
    }
    if (meterId !== null)
      await tx.query({ text: `select want_balance_command($1, 'reversal')`, values: [meterId] });
    await audit(tx, caller, {
      action: 'payment.reversed',
      subject: payment.receipt,
      details: { payment_id: payment.id, meter_id: meterId, reason },
    });
    const { currency } = payment;
    const amount = parseAmount(payment.amount);
    return { paymentId, receipt: payment.receipt, amount, currency, meterId, ...taken };
  });
}

type TakenBack = Pick<Reversed, 'units' | 'balance' | 'arrears'>;

interface Wanted {
  readonly payment: KeptPayment;
  readonly paymentId: string;
  readonly transaction: Entered;
  readonly caller: string;
  readonly memo: string | undefined;
}

/** Also keeps a sale of the negative, so that the month's blocks and fee are as if it had not been. */
async function takeBack(tx: Session, wanted: Wanted, sale: KeptSale): Promise<TakenBack> {
  const accounts = (await lockMeters(tx, [sale.meterId])).get(sale.meterId);
  if (accounts === undefined) throw new Error(`The meter ${sale.meterId} has a sale and no accounts.`);
  const { units, credit, arrears } = accounts;
  const entries = mirrored(wanted.transaction);
  const after = (account: { id: string; balance: Amount }) =>
    entries.reduce(
      (sum, { accountId, amount }) => (accountId === account.id ? sum + amount : sum),
      account.balance,
    );
  const settled = settlement(after(credit), after(arrears));
  entries.push({ accountId: credit.id, amount: -settled }, { accountId: arrears.id, amount: settled });
  await saveSale(tx, {
    ...sale,
    paymentId: wanted.paymentId,
    transactionId: await mirror(tx, wanted, entries),
    units: -sale.units,
    energyCost: -sale.energyCost,
    paymentFee: -sale.paymentFee,
    monthlyFee: -sale.monthlyFee,
    arrearsPaid: settled - sale.arrearsPaid,
    creditBefore: credit.balance,
    creditAfter: after(credit),
    blocks: sale.blocks.map((block) => ({ ...block, units: -block.units })),
    reversesId: sale.id,
  });
  return { units: sale.units, balance: after(units), arrears: -after(arrears) };
}

/**
 * What moves from credit to arrears (negative: the other way) so that credit is not below zero and nothing is paid
 * beyond what is owed: a later sale may have spent this one's remainder, or paid the fee that this one charged. What is
 * owed stays in whole cents.
 */
export function settlement(credit: Amount, arrears: Amount): Amount {
  const overpaid = arrears > 0n ? arrears : 0n;
  const missing = -(credit + overpaid);
  return -overpaid - (missing > 0n ? upToCents(missing) : 0n);
}

function mirror(tx: Session, wanted: Wanted, entries: readonly Entry[]): Promise<string> {
  const { paymentId, transaction, caller, memo } = wanted;
  return post(tx, { kind: 'reversal', paymentId, reversesId: transaction.id, memo, caller, entries });
}

function mirrored({ entries }: Entered): Entry[] {
  return entries.map(({ account_id, amount }) => ({ accountId: account_id, amount: -parseAmount(amount) }));
}

/** NUL fits no text of the database. */
function isReceipt(text: string): boolean {
  return text !== '' && text.length <= 100 && !text.includes('\0');
}

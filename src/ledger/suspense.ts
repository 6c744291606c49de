import type { Database, Session } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { readCurrency, systemAccount } from './accounts.js';
import { post } from './entries.js';
import { findMeter } from './find-meter.js';
import { parseAmount, type Amount } from './money.js';
import { lockPayment } from './payment-store.js';
import { sell, type Sale } from './sale.js';

export interface Suspended {
  readonly paymentId: string;
  readonly amount: Amount;
  readonly paidAt: Date | null;
  readonly caller: string;
  readonly memo?: string;
}

/**
 * Keeps real money that names no known meter, in the transaction of whoever stores the payment.
 * @returns the id of the ledger transaction
 * @throws as `sell`
 */
export async function toSuspense(tx: Session, { paymentId, amount, ...rest }: Suspended): Promise<string> {
  const currency = await readCurrency(tx);
  const provider = await systemAccount(tx, 'provider', currency);
  const suspense = await systemAccount(tx, 'suspense', currency);
  const occurredAt = rest.paidAt ?? undefined;
  return post(tx, {
    kind: 'suspense',
    paymentId,
    memo: rest.memo,
    caller: rest.caller,
    entries: [
      { accountId: provider, amount: -amount, occurredAt },
      { accountId: suspense, amount, occurredAt },
    ],
  });
}

/**
 * [H-15]: sells a payment in suspense to a meter, once, by the tariff of its time of payment (`readTerms`).
 * @param id of the row in payments
 * @throws DomainError PAYMENT_UNKNOWN, PAYMENT_ALLOCATED, PAYMENT_REVERSED, METER_UNKNOWN
 */
export async function allocate(
  database: Pick<Database, 'transaction'>,
  id: string,
  meterNumber: string,
  caller: Caller,
): Promise<Sale> {
  return database.transaction(async (tx) => {
    // As PostgreSQL's bigint can hold it.
    const payment = /^\d{1,18}$/.test(id) ? await lockPayment(tx, { id }) : undefined;
    if (payment?.outcome !== 'suspense')
      throw new DomainError('PAYMENT_UNKNOWN', 'No payment in suspense has this id.');
    const { receipt } = payment;
    if (payment.reversed)
      throw new DomainError('PAYMENT_REVERSED', `The payment ${receipt} was taken back before.`);
    if (payment.allocated)
      throw new DomainError('PAYMENT_ALLOCATED', `The payment ${receipt} was moved to a meter before.`);
    const meter = await findMeter(tx, meterNumber);
    if (meter === undefined) throw new DomainError('METER_UNKNOWN', 'No meter has this number.');
    const sale = await sell(tx, {
      paymentId: id,
      meterId: meter.meterId,
      amount: parseAmount(payment.amount),
      paidAt: payment.paid_at,
      caller: caller.name,
      from: 'suspense',
    });
    await tx.query({ text: `select want_balance_command($1, 'allocation')`, values: [meter.meterId] });
    await audit(tx, caller, {
      action: 'payment.allocated',
      subject: receipt,
      details: { payment_id: id, meter_id: meter.meterId },
    });
    return sale;
  });
}

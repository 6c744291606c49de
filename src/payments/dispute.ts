import type { Database } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { readCurrency } from '../ledger/accounts.js';
import { findMeter } from '../ledger/find-meter.js';
import { formatAmount, parseMoney, type Amount } from '../ledger/money.js';
import { sell, type Sale } from '../ledger/sale.js';
import { insertSettlement, lockDisputed, type DisputedPayment } from './dispute-store.js';
import { closePrompts, wantBalanceCommands } from './payment-store.js';

/** What an operator has found out about a disputed payment. */
export interface Finding {
  readonly meterNumber: string;
  /** What was really paid, when the callback did not say it: above 0 with at most 2 decimals. */
  readonly amount?: number | string | undefined;
  /** 1 to 200 characters. */
  readonly reason: string;
}

/** The payment that credits a disputed one. */
export interface Settlement extends Sale {
  /** The provider's own, else `DISPUTED-` with the disputed one's id. */
  readonly receipt: string;
}

/**
 * Credits a disputed payment to a meter, once: it was good money after all. It stays as it came; a payment of channel
 * `operator` refers to it, which can be reversed as any other. A prompt that it is about has then succeeded, so that
 * the provider's answer to a question cannot credit it once more.
 * @param id of the row in payments
 * @throws DomainError PAYMENT_UNKNOWN, PAYMENT_ALLOCATED (before, or what it is about is credited already),
 * METER_UNKNOWN, SCHEMA_INVALID
 */
export async function creditDisputed(
  database: Pick<Database, 'transaction'>,
  id: string,
  { meterNumber, amount, reason }: Finding,
  caller: Caller,
): Promise<Settlement> {
  const why = reason.replaceAll('\0', '').trim();
  if (why === '' || why.length > 200)
    throw invalid('reason', 'must say what was found out, in 1 to 200 characters');
  return database.transaction(async (tx) => {
    // As PostgreSQL's bigint can hold it.
    const disputed = /^\d{1,18}$/.test(id) ? await lockDisputed(tx, id) : undefined;
    if (disputed === undefined) throw new DomainError('PAYMENT_UNKNOWN', 'No disputed payment has this id.');
    const { payment, prompt } = disputed;
    if (payment.is_settled) throw credited('This disputed payment was credited before.');
    if (typeof prompt?.credited_as === 'string')
      throw credited(`Its prompt is credited as ${prompt.credited_as}; reverse that first.`);
    const paid = amountOf(payment, amount);
    const meter = await findMeter(tx, meterNumber);
    if (meter === undefined) throw new DomainError('METER_UNKNOWN', 'No meter has this number.');
    const { meterId } = meter;
    const receipt = payment.receipt ?? `DISPUTED-${payment.id}`;
    const paymentId = await insertSettlement(tx, payment, {
      receipt,
      amount: formatAmount(paid),
      currency: await readCurrency(tx),
      meterNumber,
      meterId,
      reason: why,
      caller: caller.name,
    });
    if (paymentId === undefined)
      throw credited(`The receipt ${receipt} is credited already; reverse that first.`);
    const order = { paymentId, meterId, amount: paid, paidAt: payment.paid_at, caller: caller.name };
    const sale = await sell(tx, order);
    if (prompt !== undefined) await closePrompts(tx, [endOf(prompt.id, paymentId)]);
    await wantBalanceCommands(tx, [meterId]);
    await audit(tx, caller, {
      action: 'payment.dispute_credited',
      subject: receipt,
      details: { payment_id: paymentId, settles_id: payment.id, meter_id: meterId, reason: why },
    });
    return { ...sale, receipt };
  });
}

function endOf(id: string, payment_id: string) {
  return { id, state: 'succeeded', result_code: null, result_desc: null, payment_id, receipt: null } as const;
}

function amountOf(disputed: DisputedPayment, given: Finding['amount']): Amount {
  const paid = parseMoney(given ?? disputed.amount ?? undefined);
  if (paid !== undefined) return paid;
  throw given === undefined
    ? invalid('amount', 'is needed: the disputed payment has none')
    : invalid('amount', 'must be money above 0 with at most 2 decimals');
}

function credited(message: string): DomainError {
  return new DomainError('PAYMENT_ALLOCATED', message);
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('SCHEMA_INVALID', `${field} ${message}.`, {
    details: [{ path: `/${field}`, message }],
  });
}

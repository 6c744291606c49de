import type { Session } from '../database/database.js';
import { parseAmount } from '../ledger/money.js';
import { sellAll, type Sale, type SaleOrder } from '../ledger/sale.js';
import { toSuspense } from '../ledger/suspense.js';
import { wantBalanceCommands, type NewPayment } from './payment-store.js';

interface Stored {
  readonly payment: NewPayment;
  readonly payment_id: string;
}

/** Whom the ledger names for money that the provider told us of. */
const caller = 'provider';

/**
 * Sells, or keeps in suspense, what these payments brought, and asks for the balance commands. The others among them
 * move nothing. @returns the sales by payment
 */
export async function enterMoney(tx: Session, stored: readonly Stored[]): Promise<Map<string, Sale>> {
  const orders = stored.flatMap(orderOf);
  const sales = await sellAll(tx, orders);
  for (const { payment, payment_id } of stored) {
    if (payment.outcome !== 'suspense' || payment.amount === null) continue;
    const paidAt = dateOf(payment.notice.paid_at);
    await toSuspense(tx, { paymentId: payment_id, amount: parseAmount(payment.amount), paidAt, caller });
  }
  await wantBalanceCommands(
    tx,
    orders.map(({ meterId }) => meterId),
  );
  return new Map(sales.map((sale) => [sale.paymentId, sale]));
}

function orderOf({ payment, payment_id }: Stored): SaleOrder[] {
  const { outcome, meter_id, amount, notice } = payment;
  if (outcome !== 'accepted' || meter_id === null || amount === null) return [];
  const paidAt = dateOf(notice.paid_at);
  return [{ paymentId: payment_id, meterId: meter_id, amount: parseAmount(amount), paidAt, caller }];
}

function dateOf(time: number | null): Date | null {
  return time === null ? null : new Date(time);
}

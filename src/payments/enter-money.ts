import type { Session } from '../database/database.js';
import { parseAmount } from '../ledger/money.js';
import { enterSales, type Sale, type SaleBasis, type SaleOrder } from '../ledger/sale.js';
import { saveSales } from '../ledger/sale-store.js';
import { toSuspense } from '../ledger/suspense.js';
import type { Occasion } from '../ledger/terms.js';
import { wantBalanceCommands, type NewPayment } from './payment-store.js';

export interface Stored {
  readonly payment: NewPayment;
  readonly payment_id: string;
}

/** Whom the ledger names for money that the provider told us of. */
const caller = 'provider';

/** What is sold for these payments once they are stored. */
export function occasionsOf(payments: readonly NewPayment[]): Occasion[] {
  return payments.flatMap((payment) => occasionOf(payment) ?? []);
}

/**
 * Sells, or keeps in suspense, what these payments brought, and asks for the balance commands. The others among them
 * move nothing.
 * @param basis of their `occasionsOf`
 * @returns the sales by payment
 */
export async function enterMoney(
  tx: Session,
  stored: readonly Stored[],
  basis: SaleBasis,
): Promise<Map<string, Sale>> {
  const orders = stored.flatMap(orderOf);
  const meterIds = orders.map(({ meterId }) => meterId);
  const [sales] = await Promise.all([enterSales(tx, orders, basis), wantBalanceCommands(tx, meterIds)]);
  await Promise.all([saveSales(tx, sales), keepInSuspense(tx, stored)]);
  return new Map(sales.map((sale) => [sale.paymentId, sale]));
}

async function keepInSuspense(tx: Session, stored: readonly Stored[]): Promise<void> {
  for (const { payment, payment_id } of stored) {
    if (payment.outcome !== 'suspense' || payment.amount === null) continue;
    const paidAt = dateOf(payment.notice.paid_at);
    await toSuspense(tx, { paymentId: payment_id, amount: parseAmount(payment.amount), paidAt, caller });
  }
}

function orderOf({ payment, payment_id }: Stored): SaleOrder[] {
  const occasion = occasionOf(payment);
  if (occasion === undefined || payment.amount === null) return [];
  return [{ ...occasion, paymentId: payment_id, amount: parseAmount(payment.amount), caller }];
}

function occasionOf({ outcome, meter_id, amount, notice }: NewPayment): Occasion | undefined {
  if (outcome !== 'accepted' || meter_id === null || amount === null) return undefined;
  return { meterId: meter_id, paidAt: dateOf(notice.paid_at) };
}

function dateOf(time: number | null): Date | null {
  return time === null ? null : new Date(time);
}

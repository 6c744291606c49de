import type { Session } from '../database/database.js';
import { ensureAccounts, lockAccounts } from '../ledger/accounts.js';
import { parseAmount } from '../ledger/money.js';
import { sell, type Sale } from '../ledger/sale.js';
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
  const credited = stored
    .flatMap(({ payment, payment_id }) => {
      const { outcome, meter_id, amount, notice } = payment;
      if (outcome !== 'accepted' || meter_id === null || amount === null) return [];
      return [
        {
          paymentId: payment_id,
          meterId: meter_id,
          amount: parseAmount(amount),
          paidAt: dateOf(notice.paid_at),
        },
      ];
    })
    .sort((a, b) =>
      a.meterId < b.meterId ? -1 : a.meterId > b.meterId ? 1 : Number(a.paymentId) - Number(b.paymentId),
    );
  const meterIds = [...new Set(credited.map(({ meterId }) => meterId))];
  if (meterIds.length > 1) await lockTogether(tx, meterIds, stored[0]?.payment.currency ?? null);
  const sales = new Map<string, Sale>();
  for (const order of credited) sales.set(order.paymentId, await sell(tx, { ...order, caller }));
  for (const { payment, payment_id } of stored) {
    if (payment.outcome !== 'suspense' || payment.amount === null) continue;
    const paidAt = dateOf(payment.notice.paid_at);
    await toSuspense(tx, { paymentId: payment_id, amount: parseAmount(payment.amount), paidAt, caller });
  }
  await wantBalanceCommands(tx, meterIds);
  return sales;
}

/** Before the first sale of several, so that all their accounts are locked in everybody's order. */
async function lockTogether(
  tx: Session,
  meterIds: readonly string[],
  currency: string | null,
): Promise<void> {
  const locked = new Set((await lockAccounts(tx, meterIds)).map(({ meterId }) => meterId));
  const missing = meterIds.filter((meterId) => !locked.has(meterId));
  if (missing.length === 0) return;
  await ensureAccounts(tx, missing, currency);
  await lockAccounts(tx, meterIds);
}

function dateOf(time: number | null): Date | null {
  return time === null ? null : new Date(time);
}

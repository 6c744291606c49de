import type { Session } from '../database/database.js';
import { systemAccount } from './accounts.js';
import { post } from './entries.js';
import type { Amount } from './money.js';
import { readCurrency } from './tariff-store.js';

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

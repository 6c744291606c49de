import type { Session } from '../database/database.js';
import { formatAmount, type Amount } from './money.js';

export type TransactionKind =
  'sale' | 'suspense' | 'allocation' | 'reversal' | 'consumption' | 'charge' | 'token';

/** Moves an amount into an account (positive) or out of it (negative). */
export interface Entry {
  readonly accountId: string;
  readonly amount: Amount;
  /** The meter's or the provider's time of what happened; now when absent. */
  readonly occurredAt?: Date | undefined;
}

export interface Posting {
  readonly kind: TransactionKind;
  readonly paymentId?: string | undefined;
  /** The ledger transaction that this one takes back. */
  readonly reversesId?: string | undefined;
  readonly memo?: string | undefined;
  readonly caller: string;
  /** At least two, zero in sum per commodity and currency. Those of 0 are left out. */
  readonly entries: readonly Entry[];
}

/**
 * Enters one ledger transaction; any number of entries in one statement. The accounts of meters among them are locked
 * already (`lockAccounts`). The database refuses, at the latest when it commits, what is not balanced.
 * @returns the id of the ledger transaction
 */
export async function post(tx: Session, posting: Posting): Promise<string> {
  const entries = posting.entries.filter(({ amount }) => amount !== 0n);
  const { rows } = await tx.query<{ id: string }>({
    name: 'post',
    text: `with header as (
             insert into ledger_transactions (kind, payment_id, reverses_id, memo, caller)
             values ($1, $2::bigint, $3::bigint, $4, $5) returning id
           ), entered as (
             insert into ledger_entries (transaction_id, account_id, amount, balance_after, occurred_at)
             select header.id, e.account_id, e.amount,
                    case when a.meter_id is not null then
                      a.balance + sum(e.amount) over (partition by e.account_id order by e.n) end,
                    coalesce(e.occurred_at, now())
               from header, unnest($6::bigint[], $7::numeric[], $8::timestamptz[])
                 with ordinality as e (account_id, amount, occurred_at, n)
               left join accounts a on a.id = e.account_id
              order by e.n
           )
           select id from header`,
    values: [
      posting.kind,
      posting.paymentId ?? null,
      posting.reversesId ?? null,
      posting.memo ?? null,
      posting.caller,
      entries.map(({ accountId }) => accountId),
      entries.map(({ amount }) => formatAmount(amount)),
      entries.map(({ occurredAt }) => occurredAt?.toISOString() ?? null),
    ],
  });
  const id = rows[0]?.id;
  if (id === undefined) throw new Error('The insert of a ledger transaction returned no row.');
  return id;
}

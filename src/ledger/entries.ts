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
 * Enters one ledger transaction. The accounts of meters among its entries are locked already. The database refuses, at
 * the latest when it commits, what is not balanced.
 * @returns the id of the ledger transaction
 */
export async function post(tx: Session, posting: Posting): Promise<string> {
  const [id] = await postAll(tx, [posting]);
  if (id === undefined) throw new Error('The insert of a ledger transaction returned no row.');
  return id;
}

/** Enters several, each balanced in itself, in one statement. @returns their ids, in this order */
export async function postAll(tx: Session, postings: readonly Posting[]): Promise<string[]> {
  const entries = postings.flatMap((posting) => posting.entries.filter(({ amount }) => amount !== 0n));
  const places = postings.flatMap(({ entries: all }, index) =>
    all.filter(({ amount }) => amount !== 0n).map(() => index + 1),
  );
  const { rows } = await tx.query<{ id: string }>({
    name: 'post',
    text: `with header as (
             insert into ledger_transactions (kind, payment_id, reverses_id, memo, caller)
             select h.kind, h.payment_id, h.reverses_id, h.memo, h.caller
               from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[])
                 with ordinality as h (kind, payment_id, reverses_id, memo, caller, n)
              order by h.n
             returning id
           ), numbered as materialized (
             select id, row_number() over (order by id) as posting from header
           ), entered as (
             insert into ledger_entries (transaction_id, account_id, amount, balance_after, occurred_at)
             select numbered.id, e.account_id, e.amount,
                    case when a.meter_id is not null then
                      a.balance + sum(e.amount) over (partition by e.account_id order by e.n) end,
                    coalesce(e.occurred_at, now())
               from unnest($6::bigint[], $7::bigint[], $8::numeric[], $9::timestamptz[])
                 with ordinality as e (posting, account_id, amount, occurred_at, n)
               join numbered on numbered.posting = e.posting
               left join accounts a on a.id = e.account_id
              order by e.n
           )
           select id from numbered order by posting`,
    values: [
      postings.map(({ kind }) => kind),
      postings.map(({ paymentId }) => paymentId ?? null),
      postings.map(({ reversesId }) => reversesId ?? null),
      postings.map(({ memo }) => memo ?? null),
      postings.map(({ caller }) => caller),
      places,
      entries.map(({ accountId }) => accountId),
      entries.map(({ amount }) => formatAmount(amount)),
      entries.map(({ occurredAt }) => occurredAt?.toISOString() ?? null),
    ],
  });
  return rows.map(({ id }) => id);
}

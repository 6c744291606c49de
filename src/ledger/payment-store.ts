import type { Session } from '../database/database.js';

/** A payment whose money is ours, with what became of it. */
export interface KeptPayment {
  readonly id: string;
  readonly receipt: string;
  /** numeric texts */
  readonly amount: string;
  readonly currency: string;
  readonly meter_number: string | null;
  readonly paid_at: Date | null;
  readonly outcome: 'accepted' | 'suspense';
  readonly allocated: boolean;
  readonly reversed: boolean;
}

/** A payment that was credited by asking the provider has none of its own: its prompt got it later. */
const byReceipt = `(upper(receipt) = upper($1)
  or id = (select q.payment_id from payment_prompts q where upper(q.receipt) = upper($1)))`;

/** Locked until the end of the transaction, so that two operators act one after the other. */
export async function lockPayment(
  tx: Session,
  wanted: { readonly receipt: string } | { readonly id: string },
): Promise<KeptPayment | undefined> {
  const [condition, value] = 'id' in wanted ? ['id = $1::bigint', wanted.id] : [byReceipt, wanted.receipt];
  const locked = await tx.query<{ id: string }>({
    text: `select id from payments where ${condition} and outcome in ('accepted', 'suspense') for update`,
    values: [value],
  });
  const id = locked.rows[0]?.id;
  if (id === undefined) return undefined;
  // A statement of its own: it sees what the one who held the lock before has committed.
  const { rows } = await tx.query<KeptPayment>({
    name: 'kept-payment',
    text: `select id, receipt, amount::text, currency, meter_number, paid_at, outcome,
                  exists (select from ledger_transactions t
                           where t.payment_id = payments.id and t.kind = 'allocation') as allocated,
                  exists (select from payments r where r.reverses_id = payments.id) as reversed
             from payments where id = $1::bigint`,
    values: [id],
  });
  return rows[0];
}

/** A ledger transaction that can be mirrored. */
export interface Entered {
  readonly id: string;
  readonly entries: readonly { readonly account_id: string; readonly amount: string }[];
}

/** What was entered for a payment, the newest first. */
export async function findTransactions(tx: Session, paymentId: string): Promise<Entered[]> {
  const { rows } = await tx.query<Entered>({
    text: `select t.id, json_agg(json_build_object('account_id', e.account_id::text, 'amount', e.amount::text)
                                 order by e.id) as entries
             from ledger_transactions t join ledger_entries e on e.transaction_id = t.id
            where t.payment_id = $1::bigint group by t.id order by t.id desc`,
    values: [paymentId],
  });
  return rows;
}

/** @returns the id of the row that takes the payment back */
export async function saveReversal(
  tx: Session,
  payment: KeptPayment,
  { meterId, caller, reason }: { meterId: string | null; caller: string; reason: string | null },
): Promise<string> {
  const { rows } = await tx.query<{ id: string }>({
    text: `insert into payments (channel, outcome, receipt, amount, currency, meter_number, meter_id, reason,
             reverses_id, details)
           values ('operator', 'reversal', $1, $2::numeric, $3, $4, $5, $6, $7::bigint,
             jsonb_build_object('caller', $8::text))
           returning id`,
    values: [
      payment.receipt,
      payment.amount,
      payment.currency,
      payment.meter_number,
      meterId,
      reason,
      payment.id,
      caller,
    ],
  });
  return rows[0]?.id ?? '';
}

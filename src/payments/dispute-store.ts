import type { Session } from '../database/database.js';

/** A payment that credits nothing until somebody has looked at it. */
export interface DisputedPayment {
  readonly id: string;
  readonly receipt: string | null;
  /** numeric text */
  readonly amount: string | null;
  readonly paid_at: Date | null;
  readonly is_settled: boolean;
}

/** The prompt that a disputed payment is about. */
export interface DisputedPrompt {
  readonly id: string;
  /** The payment that was credited because we asked the provider, which knows no receipt. */
  readonly credited_as: string | null;
}

/** Locked until the end of the transaction: first the prompt, as everybody does, then the payment. */
export async function lockDisputed(
  tx: Session,
  id: string,
): Promise<{ payment: DisputedPayment; prompt: DisputedPrompt | undefined } | undefined> {
  const prompt = await tx.query<{ id: string }>({
    text: `select q.id from payment_prompts q
             join payments p on p.checkout_request_id = q.checkout_request_id
            where p.id = $1::bigint and p.outcome = 'disputed' for update of q`,
    values: [id],
  });
  const locked = await tx.query({
    text: `select from payments where id = $1::bigint and outcome = 'disputed' for update`,
    values: [id],
  });
  if (locked.rows.length === 0) return undefined;
  // Statements of their own: they see what the one who held the locks before has committed.
  const { rows } = await tx.query<DisputedPayment>({
    text: `select id, receipt, amount::text, paid_at,
                  exists (select from payments s where s.settles_id = payments.id) as is_settled
             from payments where id = $1::bigint`,
    values: [id],
  });
  const credited = await tx.query<DisputedPrompt>({
    text: `select q.id, c.receipt as credited_as
             from payment_prompts q
             left join payments c on c.id = q.payment_id and c.channel = 'query'
              and not exists (select from payments r where r.reverses_id = c.id)
            where q.id = $1::bigint`,
    values: [prompt.rows[0]?.id ?? null],
  });
  return rows[0] === undefined ? undefined : { payment: rows[0], prompt: credited.rows[0] };
}

export interface NewSettlement {
  readonly receipt: string;
  /** numeric text */
  readonly amount: string;
  readonly currency: string;
  readonly meterNumber: string;
  readonly meterId: string;
  readonly reason: string;
  readonly caller: string;
}

/** @returns the id of the payment that credits the disputed one; undefined: its receipt is money already */
export async function insertSettlement(
  tx: Session,
  disputed: DisputedPayment,
  { receipt, amount, currency, meterNumber, meterId, reason, caller }: NewSettlement,
): Promise<string | undefined> {
  const { rows } = await tx.query<{ id: string }>({
    text: `insert into payments (channel, outcome, receipt, amount, currency, meter_number, meter_id, reason, paid_at,
             settles_id, details)
           values ('operator', 'accepted', $1, $2::numeric, $3, $4, $5, $6, $7::timestamptz, $8::bigint,
             jsonb_build_object('caller', $9::text))
           on conflict (upper(receipt)) where outcome in ('accepted', 'suspense') do nothing
           returning id`,
    values: [
      receipt,
      amount,
      currency,
      meterNumber,
      meterId,
      reason,
      disputed.paid_at?.toISOString() ?? null,
      disputed.id,
      caller,
    ],
  });
  return rows[0]?.id;
}

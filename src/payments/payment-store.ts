import type { Session } from '../database/database.js';
import type { Notice } from './notice.js';

/** A row of payments that is to be made. */
export interface NewPayment {
  readonly notice: Notice;
  readonly outcome: 'accepted' | 'suspense' | 'failed' | 'disputed';
  readonly reason: string | null;
  readonly receipt: string | null;
  readonly amount: string | null;
  readonly currency: string | null;
  readonly meter_number: string | null;
  readonly meter_id: string | null;
  readonly phone: string | null;
  readonly received_at: number;
}

/**
 * Makes the rows, in the order of their receipts so that two groups never wait for each other in a circle. One that
 * somebody else has made meanwhile is left out: a receipt that is money, a callback that credited nothing.
 * @returns their ids by the callback's digest
 */
export async function insertPayments(
  tx: Session,
  payments: readonly NewPayment[],
): Promise<ReadonlyMap<string, string>> {
  if (payments.length === 0) return new Map();
  const { rows } = await tx.query<{ id: string; sha256: string }>({
    name: 'insert-payments',
    text: `insert into payments (channel, outcome, receipt, amount, currency, meter_number, meter_id, phone, result_code,
                                 reason, checkout_request_id, paid_at, received_at, callback_sha256, details)
           select n.channel, n.outcome, n.receipt, n.amount, n.currency, n.meter_number, n.meter_id, n.phone, n.result_code,
                  n.reason, n.checkout_request_id, n.paid_at, n.received_at, decode(n.sha256, 'hex'), n.details
             from jsonb_to_recordset($1::jsonb) as n (channel text, outcome text, receipt text, amount numeric,
                    currency text, meter_number text, meter_id text, phone text, result_code text, reason text,
                    checkout_request_id text, paid_at timestamptz, received_at timestamptz, sha256 text, details jsonb)
            order by upper(n.receipt), n.sha256
           on conflict do nothing
           returning id, encode(callback_sha256, 'hex') as sha256`,
    values: [JSON.stringify(payments.map(rowOf))],
  });
  return new Map(rows.map(({ id, sha256 }) => [sha256, id]));
}

function rowOf({ notice, received_at, ...payment }: NewPayment): object {
  const { channel, result_code, checkout_request_id, paid_at, sha256, details } = notice;
  return {
    ...payment,
    channel,
    result_code,
    checkout_request_id,
    paid_at: paid_at === null ? null : new Date(paid_at).toISOString(),
    received_at: new Date(received_at).toISOString(),
    sha256,
    details,
  };
}

/** How a prompt ends. */
export interface PromptEnd {
  readonly id: string;
  readonly state: 'succeeded' | 'failed';
  readonly result_code: string | null;
  readonly result_desc: string | null;
  readonly payment_id: string | null;
  /** Of a success that was credited without one. */
  readonly receipt: string | null;
}

export async function closePrompts(tx: Session, ends: readonly PromptEnd[]): Promise<void> {
  if (ends.length === 0) return;
  await tx.query({
    name: 'close-prompts',
    text: `update payment_prompts q
              set state = e.state, payment_id = coalesce(q.payment_id, e.payment_id),
                  result_code = coalesce(e.result_code, q.result_code),
                  result_desc = coalesce(e.result_desc, q.result_desc),
                  receipt = coalesce(q.receipt, e.receipt), closed_at = coalesce(q.closed_at, now()), ask_at = null
             from jsonb_to_recordset($1::jsonb) as e (id bigint, state text, result_code text, result_desc text,
                    payment_id bigint, receipt text)
            where q.id = e.id`,
    values: [JSON.stringify(ends)],
  });
}

/** One command per meter, however many payments it got in this group. */
export async function wantBalanceCommands(tx: Session, meterIds: readonly string[]): Promise<void> {
  if (meterIds.length === 0) return;
  await tx.query({
    name: 'want-balance-commands',
    text: `select want_balance_command(m, 'payment') from unnest($1::text[]) as m`,
    values: [[...new Set(meterIds)].sort()],
  });
}

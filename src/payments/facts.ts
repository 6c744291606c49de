import type { Session } from '../database/database.js';
import type { Notice } from './notice.js';

export type PromptState = 'requested' | 'open' | 'succeeded' | 'failed' | 'expired';

/** A prompt, locked until the end of the transaction. */
export interface Prompt {
  readonly id: string;
  readonly checkout_request_id: string | null;
  readonly meter_number: string;
  readonly meter_id: string;
  /** Two decimals. */
  readonly amount: string;
  readonly currency: string;
  readonly phone_number: string;
  readonly state: PromptState;
  readonly payment_id: string | null;
  readonly receipt: string | null;
  readonly requested_at: Date;
}

/** Money that is here already. */
export interface Known {
  readonly id: string;
  readonly channel: string;
  readonly receipt: string;
  readonly amount: string;
  readonly meter_id: string | null;
  readonly outcome: string;
}

/** A confirmed bill that no prompt has claimed yet. */
export interface Bill extends Known {
  readonly prompt_id: string;
  readonly phone: string | null;
  /** Unix ms. */
  readonly paid_at: number | null;
}

/** What the database knows of a group of notices. */
export interface Facts {
  readonly currency: string | null;
  promptOf(notice: Notice): Prompt | undefined;
  /** Of money that was credited because we asked: the one that this confirmation is about. */
  promptsOfMeter(meterId: string): readonly Prompt[];
  /** Bills that may be the money of a prompt; read only when we asked about it. */
  billsOf(prompt: Prompt): readonly Bill[];
  meterIdOf(notice: Notice): string | undefined;
  /** By receipt, in any case of letters. */
  knownBy(receipt: string): Known | undefined;
  knownAs(paymentId: string | null): Known | undefined;
  /** A prompt was handed to the provider just now, and its answer is not stored yet. */
  readonly isPromptUnderWay: boolean;
}

/**
 * Locks the prompts that may be concerned, then reads the rest, so that it is not older than the locks. The
 * transaction must plan by indexes: on a young database the plans read whole tables otherwise.
 */
export async function readFacts(tx: Session, notices: readonly Notice[]): Promise<Facts> {
  // In this order: an answer that is stored meanwhile is then found with its prompt, and not missed by both looks.
  const [isUnderWay, prompts] = await Promise.all([hasPromptUnderWay(tx), lockPrompts(tx, notices)]);
  const { payments, meters, currency } = await readKnown(tx, notices, prompts);
  const asked = new Set(
    notices.filter(({ channel }) => channel === 'query').map((n) => n.checkout_request_id),
  );
  const bills = await readBills(
    tx,
    prompts.filter(({ checkout_request_id }) => asked.has(checkout_request_id)),
  );
  const byCheckout = new Map(prompts.map((prompt) => [prompt.checkout_request_id, prompt]));
  const byReceipt = new Map(payments.filter(isMoney).map((known) => [known.receipt.toUpperCase(), known]));
  const byId = new Map(payments.map((known) => [known.id, known]));
  for (const { receipt, payment_id } of prompts) {
    const known = byId.get(payment_id ?? '');
    if (receipt !== null && known !== undefined) byReceipt.set(receipt.toUpperCase(), known);
  }
  // A meter_id outranks a drn, should somebody have named a meter after another one's number.
  const byNumber = new Map([
    ...meters.map(({ drn, meter_id }): [string | null, string] => [drn, meter_id]),
    ...meters.map(({ meter_id }): [string | null, string] => [meter_id, meter_id]),
  ]);
  const byReference = new Map(prompts.map((prompt) => [referenceOf(prompt.id), prompt]));

  return {
    currency,
    isPromptUnderWay: isUnderWay,
    promptOf: ({ checkout_request_id }) =>
      checkout_request_id === null ? undefined : byCheckout.get(checkout_request_id),
    billsOf: ({ id }) => bills.filter(({ prompt_id }) => prompt_id === id),
    promptsOfMeter: (meterId) => prompts.filter(({ meter_id }) => meter_id === meterId),
    meterIdOf: ({ meter_number }) =>
      meter_number === null
        ? undefined
        : (byNumber.get(meter_number) ?? byReference.get(meter_number.toUpperCase())?.meter_id),
    knownBy: (receipt) => byReceipt.get(receipt.toUpperCase()),
    knownAs: (paymentId) => byId.get(paymentId ?? ''),
  };
}

/** What stands for a meter number that is longer than the provider's 12 characters. */
export function referenceOf(promptId: string): string {
  return `MF${BigInt(promptId).toString(36).toUpperCase()}`;
}

function promptIdOf(reference: string | null): string | null {
  const match = /^MF([0-9A-Z]{1,10})$/i.exec(reference ?? '');
  return match === null ? null : String(Number.parseInt(match[1] ?? '0', 36));
}

/** Confirmations that are older than this do not belong to a prompt that we asked about. */
const confirmationMaxHours = 24;

async function hasPromptUnderWay(tx: Session): Promise<boolean> {
  const { rows } = await tx.query<{ under_way: boolean }>({
    name: 'prompt-under-way',
    text: `select exists (select from payment_prompts
                           where state = 'requested' and requested_at > now() - interval '30 seconds') as under_way`,
  });
  return rows[0]?.under_way === true;
}

/**
 * Each condition by itself, and what it finds as an array, so that there is just one index for it: whole tables are read
 * otherwise, or the day, when PostgreSQL does not know yet how large they are.
 */
async function lockPrompts(tx: Session, notices: readonly Notice[]): Promise<Prompt[]> {
  const checkouts = notices.flatMap((notice) => notice.checkout_request_id ?? []);
  const bills = notices.filter(({ channel }) => channel === 'c2b');
  const { rows } = await tx.query<Prompt>({
    name: 'lock-prompts',
    text: `select id, checkout_request_id, meter_number, meter_id, amount::text, currency, phone_number, state,
                  payment_id, receipt, requested_at
             from payment_prompts
            where id = any(array(
                    select id from payment_prompts where checkout_request_id = any($1::text[])
                    union all select id from payment_prompts where upper(receipt) = any($2::text[])
                    union all select unnest($3::bigint[])
                    union all select id from payment_prompts
                               where requested_at > now() - interval '${confirmationMaxHours} hours'
                                 and meter_id = any(array(
                                       select d.meter_id from devices d where d.meter_id = any($4::text[])
                                       union all select d.meter_id from devices d where d.drn = any($4::text[])))))
            order by id for update`,
    values: [
      checkouts,
      notices.flatMap(({ receipt }) => receipt?.toUpperCase() ?? []),
      bills.flatMap(({ meter_number }) => promptIdOf(meter_number) ?? []),
      bills.flatMap(({ meter_number }) => meter_number ?? []),
    ],
  });
  return rows;
}

interface KnownRows {
  readonly payments: readonly Known[];
  readonly meters: readonly { readonly meter_id: string; readonly drn: string | null }[];
  readonly currency: string | null;
}

async function readKnown(
  tx: Session,
  notices: readonly Notice[],
  prompts: readonly Prompt[],
): Promise<KnownRows> {
  const { rows } = await tx.query<KnownRows>({
    name: 'read-known',
    text: `select (select coalesce(jsonb_agg(jsonb_build_object('id', p.id::text, 'channel', p.channel, 'receipt', p.receipt,
                          'amount', p.amount::text, 'meter_id', p.meter_id, 'outcome', p.outcome)), '[]')
                     from payments p
                    where p.id = any(array(select r.id from payments r where upper(r.receipt) = any($1::text[])
                                           union all select unnest($2::bigint[])))) as payments,
                  (select coalesce(jsonb_agg(jsonb_build_object('meter_id', d.meter_id, 'drn', d.drn)), '[]')
                     from devices d
                    where d.id = any(array(select m.id from devices m where m.meter_id = any($3::text[])
                                           union all select m.id from devices m where m.drn = any($3::text[])))
                      and d.revoked_at is null and not d.mock) as meters,
                  (select currency from tariffs where plan = 'default' limit 1) as currency`,
    values: [
      notices.flatMap(({ receipt }) => receipt?.toUpperCase() ?? []),
      prompts.flatMap(({ payment_id }) => payment_id ?? []),
      notices.flatMap(({ channel, meter_number }) => (channel === 'c2b' ? (meter_number ?? []) : [])),
    ],
  });
  return rows[0] ?? { payments: [], meters: [], currency: null };
}

async function readBills(tx: Session, prompts: readonly Prompt[]): Promise<Bill[]> {
  if (prompts.length === 0) return [];
  const { rows } = await tx.query<Omit<Bill, 'paid_at'> & { paid_at: Date | null }>({
    name: 'read-bills',
    text: `select q.id as prompt_id, c.id, c.channel, c.receipt, c.amount::text, c.meter_id, c.outcome, c.phone, c.paid_at
             from payment_prompts q
             join payments c on c.meter_id = q.meter_id and c.amount = q.amount and c.channel = 'c2b'
                            and c.outcome = 'accepted' and c.received_at > q.requested_at - interval '1 hour'
            where q.id = any($1::bigint[]) and not exists (select from payment_prompts o where o.payment_id = c.id)
            order by c.id`,
    values: [prompts.map(({ id }) => id)],
  });
  return rows.map(({ paid_at, ...bill }) => Object.assign(bill, { paid_at: paid_at?.getTime() ?? null }));
}

function isMoney({ outcome }: Known): boolean {
  return outcome === 'accepted' || outcome === 'suspense';
}

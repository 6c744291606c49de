import type { Session } from '../database/database.js';
import type { PromptState } from './facts.js';

export interface NewPrompt {
  readonly meter_number: string;
  readonly meter_id: string;
  /** Whole units of the currency. */
  readonly amount: number;
  readonly phone_number: string;
  readonly caller: string;
}

export interface MadePrompt {
  readonly id: string;
  readonly currency: string;
  readonly requested_at: Date;
}

/** Stored before anybody is asked: a callback can only belong to what is here. Undefined: there is no tariff. */
export async function insertPrompt(
  session: Session,
  prompt: NewPrompt,
  giveUpMs: number,
): Promise<MadePrompt | undefined> {
  const { rows } = await session.query<MadePrompt>({
    name: 'insert-prompt',
    text: `insert into payment_prompts (meter_number, meter_id, amount, currency, phone_number, caller, ask_at)
           select $1, $2, $3::numeric, t.currency, $4, $5, now() + $6::float8 * interval '1 ms'
             from tariffs t where t.plan = 'default' limit 1
           returning id, currency, requested_at`,
    values: [
      prompt.meter_number,
      prompt.meter_id,
      prompt.amount,
      prompt.phone_number,
      prompt.caller,
      giveUpMs,
    ],
  });
  return rows[0];
}

/** The customer has it; from now on its callback is awaited, and asked for when it does not come. */
export async function openPrompt(
  session: Session,
  id: string,
  ids: { readonly checkout_request_id: string; readonly merchant_request_id: string | null },
  askAfterMs: number,
): Promise<void> {
  await session.query({
    name: 'open-prompt',
    text: `update payment_prompts
              set state = 'open', checkout_request_id = $2, merchant_request_id = $3,
                  ask_at = now() + $4::float8 * interval '1 ms'
            where id = $1::bigint and state = 'requested'`,
    values: [id, ids.checkout_request_id, ids.merchant_request_id, askAfterMs],
  });
}

/** Ends a prompt of which no callback can come, or none is awaited any longer. @returns whether it was still open */
export async function endPrompt(
  session: Session,
  id: string,
  end: {
    readonly state: 'failed' | 'expired';
    readonly result_code: string | null;
    readonly result_desc: string;
  },
): Promise<boolean> {
  const { rowCount } = await session.query({
    name: 'end-prompt',
    text: `update payment_prompts
              set state = $2, result_code = $3, result_desc = $4, closed_at = now(), ask_at = null
            where id = $1::bigint and state in ('requested', 'open')`,
    values: [id, end.state, end.result_code, end.result_desc],
  });
  return rowCount === 1;
}

export interface SilentPrompt {
  readonly id: string;
  readonly state: PromptState;
  readonly checkout_request_id: string | null;
  readonly meter_number: string;
  readonly meter_id: string;
  /** Two decimals. */
  readonly amount: string;
  readonly currency: string;
  readonly phone_number: string;
  /** This one included. */
  readonly asks: number;
  readonly requested_at: Date;
  readonly age_ms: number;
}

/** Takes prompts whose time has come, so that no other instance asks about them before `againMs` have passed. */
export async function takeSilentPrompts(
  session: Session,
  countMax: number,
  againMs: { readonly first: number; readonly max: number },
): Promise<SilentPrompt[]> {
  const { rows } = await session.query<SilentPrompt>({
    name: 'take-silent-prompts',
    text: `update payment_prompts q
              set asks = q.asks + 1,
                  ask_at = now() + least($2::float8 * power(2, least(q.asks, 20)), $3::float8) * interval '1 ms'
            where q.id in (select id from payment_prompts
                            where state in ('requested', 'open') and ask_at <= now()
                            order by ask_at limit $1 for update skip locked)
           returning q.id, q.state, q.checkout_request_id, q.meter_number, q.meter_id, q.amount::text, q.currency,
                     q.phone_number, q.asks, q.requested_at,
                     (extract(epoch from now() - q.requested_at) * 1000)::float8 as age_ms`,
    values: [countMax, againMs.first, againMs.max],
  });
  return rows;
}

import type { Session } from '../database/database.js';
import { openToLate } from './ending-store.js';

/** A token that is about to be handed over. Times in Unix ms. */
export interface Sending {
  readonly id: string;
  readonly subscribedAt: number;
  readonly sentAt: number;
  /** Answers of before are not in the memory of this process. */
  readonly remembersSince: number;
}

export type Sent =
  | {
      readonly outcome: 'sent';
      /** Earlier tokens of the meter may still be answered, or were a moment ago, elsewhere. */
      readonly hasEarlier: boolean;
    }
  /** Another injection has booked the token, or has bound it. */
  | { readonly outcome: 'taken' }
  /** It waits no longer. */
  | { readonly outcome: 'gone' };

/**
 * The last look before a token leaves: what another instance committed while this one began was not to be seen then. From
 * here on nobody else begins with this meter or this token, so that what is seen stays.
 */
export async function sendAll(session: Session, sendings: readonly Sending[]): Promise<Sent[]> {
  const { rows } = await session.query<{ taken: boolean | null; sent: boolean; earlier: boolean | null }>({
    name: 'send-injections',
    text: `with s as materialized (
             select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
               with ordinality as s (id, subscribed_at, sent_at, remembers_since, place)
           ), judged as materialized (
             select s.*,
                    (select true from token_injections o
                      where o.token_hash = t.token_hash and o.id <> t.id
                        and (o.status = 'success'
                             or (o.meter_id <> t.meter_id and o.sent_at is not null
                                 and o.refusal is distinct from 'wrong_meter'))
                      limit 1) is true as taken,
                    (select true from token_injections o
                      where o.meter_id = t.meter_id and o.requested_at > now() - interval '2 days'
                        and ((o.token_hash <> t.token_hash and ${openToLate('o')})
                             or (o.answered_at > now() - interval '1 minute'
                                 and (o.run <> t.run or o.answered_at < s.remembers_since)))
                      limit 1) is true as earlier
               from s join token_injections t on t.id = s.id
           ), sent as (
             update token_injections t
                set phase = 'sent', subscribed_at = j.subscribed_at, sent_at = j.sent_at
               from judged j where t.id = j.id and t.status = 'waiting' and not j.taken
             returning t.id
           )
           select j.taken, j.earlier, sent.id is not null as sent
             from s left join judged j on j.id = s.id left join sent on sent.id = s.id order by s.place`,
    values: [
      sendings.map(({ id }) => id),
      sendings.map(({ subscribedAt }) => new Date(subscribedAt).toISOString()),
      sendings.map(({ sentAt }) => new Date(sentAt).toISOString()),
      sendings.map(({ remembersSince }) => new Date(remembersSince).toISOString()),
    ],
  });
  return rows.map(({ taken, sent, earlier }) => {
    if (sent) return { outcome: 'sent', hasEarlier: earlier === true };
    return taken === true ? { outcome: 'taken' } : { outcome: 'gone' };
  });
}

import type { Session } from '../database/database.js';
import { openToLate } from './ending-store.js';
import type { InjectionStatus } from './record.js';

/** An injection of a meter, as far as it says whose an answer may be. */
export interface MeterInjection {
  readonly id: string;
  readonly meter_number: string;
  readonly drn: string | null;
  readonly caller: string;
  /** Hash of its token, in hex. */
  readonly token: string;
  readonly message_id: string | null;
  readonly status: InjectionStatus;
  readonly vendor_status: number | null;
  /** As text; of one that is open, an answer that may be another's as well. */
  readonly answer: string | null;
  /** Unix ms. */
  readonly answered_at: number | null;
  /** Unix ms; null: the system cannot have it. */
  readonly sent_at: number | null;
  /** It was sent, and ended without an answer of its own. */
  readonly open: boolean;
  /** How long the meter could have answered: since it was sent, or since the meter has come back; a day at most. */
  readonly silent_ms: number | null;
}

/** The latest of a meter, those of two days that are open, and every one that an answer names; the last first. */
export async function selectOfMeter(
  session: Session,
  meterId: string,
  named: { readonly tokenHash: Buffer | null; readonly messageId: string | null },
): Promise<MeterInjection[]> {
  const { rows } = await session.query<MeterInjection>({
    name: 'select-injections-of-meter',
    text: `select t.id, t.meter_number, d.drn, t.caller, encode(t.token_hash, 'hex') as token, t.message_id, t.status,
                  t.vendor_status, t.answer::text as answer,
                  (extract(epoch from t.answered_at) * 1000)::float8 as answered_at,
                  (extract(epoch from t.sent_at) * 1000)::float8 as sent_at, ${openToLate('t')} as open,
                  (extract(epoch from now() - case
                     when d.last_seen_at is null or t.sent_at < now() - interval '1 day' then t.sent_at
                     when d.connected_instance is null then now()
                     else greatest(t.sent_at, d.last_seen_at) end) * 1000)::float8 as silent_ms
             from token_injections t left join devices d on d.meter_id = t.meter_id
            where t.meter_id = $1
              and (t.token_hash = $2 or t.message_id = $3 or t.id::text = $3
                   or (t.requested_at > now() - interval '2 days' and ${openToLate('t')})
                   or t.id in (select l.id from token_injections l where l.meter_id = $1
                                order by l.requested_at desc, l.id desc limit 20))
            order by t.requested_at desc, t.id desc`,
    values: [meterId, named.tokenHash, named.messageId],
  });
  return rows;
}

import type { Session } from '../database/database.js';
import type { InjectionPhase } from './record.js';

/** How far injections came that still wait. Times in Unix ms; null leaves what is there. */
export interface Progress {
  readonly id: string;
  readonly phase: InjectionPhase;
  readonly subscribedAt: number | null;
  readonly sentAt: number | null;
  readonly acknowledgedAt: number | null;
  readonly vendorStatus: number | null;
  readonly vendorAttempts: number | null;
  readonly messageId: string | null;
}

/** @returns for each whether it still waited */
export async function noteAll(session: Session, progress: readonly Progress[]): Promise<boolean[]> {
  const { rows } = await session.query<{ noted: boolean }>({
    name: 'note-injections',
    text: `with p as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],
                                  $6::integer[], $7::integer[], $8::text[]) with ordinality as p
               (id, phase, subscribed_at, sent_at, acknowledged_at, vendor_status, vendor_attempts, message_id, place)
           ), noted as (
             update token_injections t
                set phase = p.phase,
                    subscribed_at = coalesce(p.subscribed_at, t.subscribed_at),
                    sent_at = coalesce(p.sent_at, t.sent_at),
                    acknowledged_at = coalesce(p.acknowledged_at, t.acknowledged_at),
                    vendor_status = coalesce(p.vendor_status, t.vendor_status),
                    vendor_attempts = coalesce(p.vendor_attempts, t.vendor_attempts),
                    message_id = coalesce(p.message_id, t.message_id)
               from p where t.id = p.id and t.status = 'waiting'
             returning t.id
           )
           select noted.id is not null as noted from p left join noted on noted.id = p.id order by place`,
    values: [
      progress.map(({ id }) => id),
      progress.map(({ phase }) => phase),
      progress.map(({ subscribedAt }) => iso(subscribedAt)),
      progress.map(({ sentAt }) => iso(sentAt)),
      progress.map(({ acknowledgedAt }) => iso(acknowledgedAt)),
      progress.map(({ vendorStatus }) => vendorStatus),
      progress.map(({ vendorAttempts }) => vendorAttempts),
      progress.map(({ messageId }) => messageId),
    ],
  });
  return rows.map(({ noted }) => noted);
}

function iso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

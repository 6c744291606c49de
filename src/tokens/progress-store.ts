import type { Session } from '../database/database.js';

/** The vendor's acceptance of a token that waits. Time in Unix ms. */
export interface Progress {
  readonly id: string;
  readonly acknowledgedAt: number;
  readonly vendorStatus: number | null;
  readonly vendorAttempts: number;
  readonly messageId: string | null;
}

/** @returns for each whether it still waited */
export async function noteAll(session: Session, progress: readonly Progress[]): Promise<boolean[]> {
  const { rows } = await session.query<{ noted: boolean }>({
    name: 'note-injections',
    text: `with p as materialized (
             select * from unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::integer[], $5::text[]) with ordinality as p
               (id, acknowledged_at, vendor_status, vendor_attempts, message_id, place)
           ), noted as (
             update token_injections t
                set phase = 'acknowledged', acknowledged_at = p.acknowledged_at, vendor_status = p.vendor_status,
                    vendor_attempts = p.vendor_attempts, message_id = p.message_id
               from p where t.id = p.id and t.status = 'waiting'
             returning t.id
           )
           select noted.id is not null as noted from p left join noted on noted.id = p.id order by place`,
    values: [
      progress.map(({ id }) => id),
      progress.map(({ acknowledgedAt }) => new Date(acknowledgedAt).toISOString()),
      progress.map(({ vendorStatus }) => vendorStatus),
      progress.map(({ vendorAttempts }) => vendorAttempts),
      progress.map(({ messageId }) => messageId),
    ],
  });
  return rows.map(({ noted }) => noted);
}

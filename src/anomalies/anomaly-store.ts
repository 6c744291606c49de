import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { Anomaly, AnomalyKind, LastStored, Noticed } from './anomaly.js';

const rowsMax = 10_000;

/** Counts up the row of the same kind, subject and hour, or makes it. */
export async function upsertAnomalies(session: Session, noticed: readonly Noticed[]): Promise<void> {
  await session.query({
    name: 'anomaly-upsert',
    text: `insert into anomalies (kind, subject, meter_id, occurrences, reason, first_at, last_at, hour)
           select n.kind, n.subject, n.meter_id, n.occurrences, n.reason, n.at, n.at, date_trunc('hour', n.at)
             from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::timestamptz[])
                  as n (kind, subject, meter_id, occurrences, reason, at)
           on conflict on constraint anomalies_hour_key do update
             set occurrences = anomalies.occurrences + excluded.occurrences,
                 reason = excluded.reason, last_at = greatest(anomalies.last_at, excluded.last_at)`,
    values: [
      noticed.map(({ kind }) => kind),
      noticed.map(({ subject }) => withoutNul(subject)),
      noticed.map(({ meter_id }) => meter_id),
      noticed.map(({ occurrences }) => occurrences),
      noticed.map(({ reason }) => withoutNul(reason)),
      noticed.map(({ at }) => new Date(at).toISOString()),
    ],
  });
}

/** Deletes the oldest rows beyond the bound. */
export async function trimAnomalies(session: Session): Promise<void> {
  await session.query({
    name: 'anomaly-trim',
    text: `delete from anomalies
            where id in (select id from anomalies order by last_at desc, id desc offset $1::int)`,
    values: [rowsMax],
  });
}

export async function selectAnomalies(
  session: Session,
  { limit, offset, order }: PageRequest<'last_at'>,
  kind: AnomalyKind | null,
  meter_id: string | null,
): Promise<{ data: Anomaly[]; total: number }> {
  const { rows } = await session.query<StoredRow>({
    text: `select id, kind, subject, meter_id, occurrences, reason, first_at, last_at
             from anomalies
            where ($1::text is null or kind = $1) and ($2::text is null or meter_id = $2)
            order by last_at ${order === 'asc' ? 'asc, id asc' : 'desc, id desc'}
            limit $3 offset $4`,
    values: [kind, meter_id, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from anomalies
            where ($1::text is null or kind = $1) and ($2::text is null or meter_id = $2)`,
    values: [kind, meter_id],
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

/** When each meter that sent something within a day was last heard. */
export async function selectLastHeard(session: Session): Promise<{ meter_id: string; heard: number }[]> {
  const { rows } = await session.query<{ meter_id: string; heard: number }>({
    text: `select r.meter_id, (extract(epoch from max(r.submitted_at)) * 1000)::float8 as heard
             from meter_readings r join devices d using (meter_id)
            where r.reading_timestamp > now() - interval '1 day' and d.revoked_at is null and not d.mock
            group by r.meter_id limit 50000`,
  });
  return rows;
}

/** The newest reading of each of these meters, whichever instance stored it. */
export async function selectLastStored(session: Session, meters: readonly string[]): Promise<LastStored[]> {
  const { rows } = await session.query<LastStored>({
    name: 'anomaly-last-stored',
    text: `select d.meter_id, (extract(epoch from newest.submitted_at) * 1000)::float8 as heard,
                  exists (select from anomalies a
                           where a.kind = 'silent_meter' and a.subject = d.meter_id
                             and a.last_at > newest.submitted_at) as "isTold"
             from devices d
             left join lateral (select r.submitted_at from meter_readings r
                                 where r.meter_id = d.meter_id and r.reading_timestamp > now() - interval '8 days'
                                 order by r.reading_timestamp desc limit 1) as newest on true
            where d.meter_id = any($1::text[]) and d.revoked_at is null and not d.mock`,
    values: [meters],
  });
  return rows;
}

interface StoredRow extends Omit<Anomaly, 'id' | 'first_at' | 'last_at'> {
  readonly id: string;
  readonly first_at: Date;
  readonly last_at: Date;
}

function forPeople(row: StoredRow): Anomaly {
  return {
    ...row,
    id: Number(row.id),
    first_at: row.first_at.toISOString(),
    last_at: row.last_at.toISOString(),
  };
}

/** PostgreSQL's text cannot hold it, and a user name may. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}

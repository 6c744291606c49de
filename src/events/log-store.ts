import type { Session } from '../database/database.js';
import { eventColumns, type EventRow } from './device-event.js';

/** Which part of the log. */
export interface LogPart {
  /** Events behind this one. */
  readonly after: string;
  /** None behind this one. */
  readonly upTo: string;
  readonly deviceId: string | null;
  readonly limit: number;
}

/** Events in the order in which they happened. */
export async function selectEvents(session: Session, part: LogPart): Promise<EventRow[]> {
  const { rows } = await session.query<EventRow>({
    text: `select ${eventColumns} from device_events e
            where e.id > $1::bigint and e.id <= $2::bigint and ($3::text is null or e.device_id = $3)
            order by e.id limit $4::int`,
    values: [part.after, part.upTo, part.deviceId, part.limit],
  });
  return rows;
}

/** The same, without what is still to be published: that comes by itself. */
export async function selectPublishedEvents(session: Session, part: LogPart): Promise<EventRow[]> {
  const { rows } = await session.query<EventRow>({
    text: `select ${eventColumns} from device_events e
            where e.id > $1::bigint and e.id <= $2::bigint and ($3::text is null or e.device_id = $3)
              and e.published_at is not null
            order by e.id limit $4::int`,
    values: [part.after, part.upTo, part.deviceId, part.limit],
  });
  return rows;
}

/** The ids between which events since a time lie: `after` the first one, up to the last. Nothing: both '0'. */
export async function selectRange(
  session: Session,
  from: Date | null,
): Promise<{ after: string; upTo: string }> {
  const { rows } = await session.query<{ after: string; upTo: string }>({
    text: `with since as materialized (
             select id from device_events where $1::timestamptz is null or occurred_at >= $1
           )
           select coalesce(min(id) - 1, 0)::text as after, coalesce(max(id), 0)::text as "upTo" from since`,
    values: [from?.toISOString() ?? null],
  });
  return rows[0] ?? { after: '0', upTo: '0' };
}

/** The highest id that was ever given to an event, committed or not. */
export async function selectLastId(session: Session): Promise<string> {
  const { rows } = await session.query<{ last: string }>({
    text: `select (case when is_called then last_value else 0 end)::text as last from device_events_id_seq`,
  });
  return rows[0]?.last ?? '0';
}

/** Transactions that may have written events and have not ended. */
export async function selectWriters(session: Session): Promise<string[]> {
  const { rows } = await session.query<{ writer: string }>({
    text: `select virtualtransaction as writer from pg_locks
            where locktype = 'relation' and relation = 'device_events'::regclass and mode = 'RowExclusiveLock'
              and database = (select oid from pg_database where datname = current_database())`,
  });
  return rows.map(({ writer }) => writer);
}

const forgottenAtOnce = 10_000;

/**
 * Forgets published events that are older than `days`, but never the last one of a device that is there: from what
 * remains, everybody can still learn of every device.
 * @returns whether there may be more
 */
export async function forgetOldEvents(session: Session, days: number): Promise<boolean> {
  const { rowCount } = await session.query({
    text: `delete from device_events
            where id in (select e.id from device_events e
                          where e.occurred_at < now() - $1::float8 * interval '1 day' and e.published_at is not null
                            and (e.event_type = 'device.deleted'
                                 or exists (select from device_events later
                                             where later.device_id = e.device_id and later.id > e.id))
                          order by e.id limit ${forgottenAtOnce})`,
    values: [days],
  });
  return rowCount === forgottenAtOnce;
}

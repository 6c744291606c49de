import type { Session } from '../database/database.js';

/** What one instance writes, in the order in which it acknowledges. */
export interface Lane {
  readonly lane: number;
  /** Begins the message ids of what has no other identity. */
  readonly uid: string;
}

/** One commit of the journal: the messages of `body`, see frame.ts. */
export interface JournalRow {
  readonly id: number;
  readonly messages: number;
  /** How many messages the lane had up to and with this row. */
  readonly total: number;
  readonly body: Buffer;
}

/** The lane of an instance, made when it is new. */
export async function openLane(database: Session, name: string): Promise<Lane> {
  const { rows } = await database.query<Lane>({
    name: 'forward-lane-open',
    text: `insert into forward_lanes as l (name) values ($1)
           on conflict on constraint forward_lanes_name_key do update set name = l.name
           returning lane, uid`,
    values: [name],
  });
  if (rows[0] === undefined) throw new Error('the lane was not made');
  return rows[0];
}

/**
 * Appends to a lane, once however often it is repeated under the same `write`. The lane is locked until the commit, so
 * that ids rise in the order of the commits, whoever else writes to it. The partition of the day of `writtenAt` (Unix
 * ms) must be there.
 */
export async function appendRow(
  session: Session,
  lane: number,
  { messages, body }: Pick<JournalRow, 'messages' | 'body'>,
  { write, writtenAt }: { readonly write: string; readonly writtenAt: number },
): Promise<{ id: number; total: number }> {
  const { rows } = await session.query<{ id: number; total: number }>({
    name: 'forward-journal-append',
    text: `with turn as (
             update forward_lanes set last_id = last_id + 1, total = total + $2::integer, last_write = $5::uuid
              where lane = $1::integer and last_write is distinct from $5::uuid returning last_id, total
           ), added as (
             insert into forward_journal (lane, id, messages, total, body, written_at)
             select $1::integer, last_id, $2::integer, total, $3::bytea, to_timestamp($4::float8 / 1000) from turn
             returning id, total
           )
           select id::float8, total::float8 from added
           union all
           select last_id::float8, total::float8 from forward_lanes
            where lane = $1::integer and last_write = $5::uuid`,
    values: [lane, messages, body, writtenAt, write],
  });
  if (rows[0] === undefined) throw new Error(`the lane ${lane} is gone`);
  return rows[0];
}

/** The next rows behind `after`, in order. */
export async function readRows(
  database: Session,
  lane: number,
  after: number,
  limit: number,
): Promise<JournalRow[]> {
  const { rows } = await database.query<JournalRow>({
    name: 'forward-journal-read',
    text: `select id::float8, messages, total::float8, body from forward_journal
            where lane = $1::integer and id > $2::bigint order by id limit $3`,
    values: [lane, after, limit],
  });
  return rows;
}

/**
 * Drops whole days that are older than `keepHours` and forwarded, or older than `unforwardedDays` whatever they are.
 * @returns how many were dropped
 */
export async function dropOldDays(
  tx: Session,
  limits: { readonly keepHours: number; readonly unforwardedDays: number },
): Promise<number> {
  // Dropping a partition locks the whole journal: rather another time than in everybody's way.
  await tx.query({ text: `set local lock_timeout = '2s'` });
  // Apart from the drop: a statement cannot drop what it reads.
  const { rows: days } = await tx.query<{ day: string }>({
    name: 'forward-journal-oldest',
    text: `select greatest(
             least(
               now() - make_interval(hours => $1::integer),
               (select min(waiting.written_at) from forward_lanes l cross join lateral (
                  select j.written_at from forward_journal j
                   where j.lane = l.lane
                     and j.id > coalesce((select max(m.id) from forward_marks m where m.lane = l.lane), 0)
                   order by j.id limit 1) waiting)),
             now() - make_interval(days => $2::integer))::date::text as day`,
    values: [limits.keepHours, limits.unforwardedDays],
  });
  const { rows } = await tx.query<{ dropped: number }>({
    name: 'forward-journal-drop',
    text: `select drop_day_partitions('forward_journal'::regclass, $1::date) as dropped`,
    values: [days[0]?.day],
  });
  await tx.query({
    name: 'forward-marks-prune',
    text: `delete from forward_marks m
            where m.marked_at < now() - make_interval(hours => $1::integer + 48)
              and m.id < (select max(n.id) from forward_marks n where n.lane = m.lane)`,
    values: [limits.keepHours],
  });
  return rows[0]?.dropped ?? 0;
}

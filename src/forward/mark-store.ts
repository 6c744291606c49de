import type { Session } from '../database/database.js';

/** How far a lane is forwarded. */
export interface Mark {
  /** Of the last journal row that is in the stream with all before it; 0 when none is. */
  readonly id: number;
  /** How many messages the lane had up to it. */
  readonly total: number;
  readonly stream: string;
  /** When the stream was made, as the server says it. A stream made anew has none of what the old one had. */
  readonly stream_created: string;
  /** At least so many messages the stream had when all of that was in it. */
  readonly stream_seq: number;
}

/** A lane, how much it has, and how far it is forwarded. */
export interface LaneState {
  readonly lane: number;
  readonly name: string;
  readonly uid: string;
  readonly last_id: number;
  readonly total: number;
  /** Of its mark; 0 without one. */
  readonly marked_id: number;
  readonly marked_total: number;
  /** When the first row behind it was written, Unix ms. */
  readonly waiting_since: number | null;
}

export async function listLanes(database: Session): Promise<LaneState[]> {
  const { rows } = await database.query<LaneState>({
    name: 'forward-lanes-list',
    text: `select l.lane, l.name, l.uid, l.last_id::float8, l.total::float8,
                  coalesce(m.id, 0)::float8 as marked_id, coalesce(m.total, 0)::float8 as marked_total,
                  (select extract(epoch from j.written_at)::float8 * 1000 from forward_journal j
                    where j.lane = l.lane and j.id > coalesce(m.id, 0) order by j.id limit 1) as waiting_since
             from forward_lanes l left join lateral (
               select id, total from forward_marks where lane = l.lane order by id desc limit 1) m on true
            order by l.lane`,
  });
  return rows;
}

export async function lastMark(database: Session, lane: number): Promise<Mark | null> {
  const { rows } = await database.query<Mark>({
    name: 'forward-mark-last',
    text: `select id::float8, total::float8, stream, stream_created, stream_seq::float8
             from forward_marks where lane = $1::integer order by id desc limit 1`,
    values: [lane],
  });
  return rows[0] ?? null;
}

export async function saveMark(database: Session, lane: number, mark: Mark): Promise<void> {
  await database.query({
    name: 'forward-mark-save',
    text: `insert into forward_marks (lane, id, total, stream, stream_created, stream_seq)
           values ($1::integer, $2::bigint, $3::bigint, $4, $5, $6::bigint)
           on conflict on constraint forward_marks_pkey do update
             set stream = excluded.stream, stream_created = excluded.stream_created,
                 stream_seq = excluded.stream_seq, marked_at = now()`,
    values: [lane, mark.id, mark.total, mark.stream, mark.stream_created, mark.stream_seq],
  });
}

/**
 * The stream has less than it had: back to the last mark that it still covers, else to before the oldest journal row
 * that is kept. What stays marked is the new cursor. @returns it; null when there is no journal at all
 */
export async function rewind(
  tx: Session,
  lane: number,
  found: { readonly stream: string; readonly stream_created: string; readonly stream_seq: number },
): Promise<Mark | null> {
  await tx.query({
    name: 'forward-marks-rewind',
    text: `delete from forward_marks where lane = $1::integer
              and (stream <> $2 or stream_created <> $3 or stream_seq > $4::bigint)`,
    values: [lane, found.stream, found.stream_created, found.stream_seq],
  });
  const kept = await lastMark(tx, lane);
  if (kept !== null) return kept;
  const { rows } = await tx.query<{ id: number; total: number }>({
    name: 'forward-journal-begin',
    text: `select (id - 1)::float8 as id, (total - messages)::float8 as total from forward_journal
            where lane = $1::integer order by id limit 1`,
    values: [lane],
  });
  const [oldest] = rows;
  if (oldest === undefined) return null;
  const mark = { ...oldest, ...found, stream_seq: 0 };
  await saveMark(tx, lane, mark);
  return mark;
}

import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import { byteArray, integerArray, textArray } from './array-literal.js';
import {
  shown,
  topicPattern,
  type QuarantineCount,
  type QuarantinedMessage,
  type QuarantineFilter,
} from './quarantined-message.js';
import type { Rejection } from './reading.js';

/** Returns the transaction's id. */
export async function insertRejections(tx: Session, rejections: readonly Rejection[]): Promise<string> {
  const { rows } = await tx.query<{ id: string }>({
    name: 'quarantine-insert',
    text: `with inserted as (
             insert into quarantined_messages
                    (device_id, meter_id, topic, qos, part, code, reason, payload, received_at)
             select u.device_id, u.meter_id, u.topic, u.qos, u.part, u.code, u.reason, u.payload,
                    to_timestamp(u.received_at::float8 / 1000)
               from unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::int[], $6::text[], $7::text[],
                           $8::bytea[], $9::bigint[])
                    as u (device_id, meter_id, topic, qos, part, code, reason, payload, received_at)
           )
           select pg_current_xact_id()::text as id`,
    values: [
      textArray(rejections.map(({ device_id }) => device_id)),
      textArray(rejections.map(({ meter_id }) => meter_id)),
      textArray(rejections.map(({ topic }) => topic)),
      integerArray(rejections.map(({ qos }) => qos)),
      integerArray(rejections.map(({ part }) => part)),
      textArray(rejections.map(({ code }) => code)),
      textArray(rejections.map(({ reason }) => withoutNul(reason))),
      byteArray(rejections.map(({ payload }) => payload)),
      integerArray(rejections.map(({ received_at }) => Math.trunc(received_at))),
    ],
  });
  return rows[0]?.id ?? '0';
}

/** A list of 100 of the largest payloads would weigh 25 MB. */
const listedBytesMax = 16_384;

const columns = `id, device_id, meter_id, topic, qos, part, code, reason, received_at, quarantined_at,
                 replayed_at, replay_outcome, replay_code, replay_reason, octet_length(payload) as bytes`;

const isSettled = `coalesce(replay_outcome in ('stored', 'duplicate'), false)`;

const matches = `($1::text is null or meter_id = $1) and ($2::text is null or code = $2)
             and ($3::text is null or topic ~ $3)
             and ($4::timestamptz is null or quarantined_at >= $4)
             and ($5::timestamptz is null or quarantined_at < $5)
             and ($6::boolean is null or ${isSettled} = $6)`;

/** Payloads above `listedBytesMax` are cut. */
export async function listQuarantined(
  database: Session,
  { limit, offset, order }: PageRequest<'quarantined_at'>,
  filter: QuarantineFilter,
): Promise<QuarantinedMessage[]> {
  const { rows } = await database.query<StoredRow>({
    text: `select ${columns}, substring(payload for ${listedBytesMax}) as payload
             from quarantined_messages
            where ${matches}
            order by quarantined_at ${order === 'asc' ? 'asc, id asc' : 'desc, id desc'}
            limit $7 offset $8`,
    values: [...valuesOf(filter), limit, offset],
  });
  return rows.map(forPeople);
}

export async function countQuarantined(database: Session, filter: QuarantineFilter): Promise<number> {
  const { rows } = await database.query<{ total: number }>({
    text: `select count(*)::float8 as total from quarantined_messages where ${matches}`,
    values: valuesOf(filter),
  });
  return rows[0]?.total ?? 0;
}

export async function countByCode(database: Session): Promise<QuarantineCount[]> {
  const { rows } = await database.query<QuarantineCount>({
    name: 'quarantine-counts',
    text: `select code, count(*) filter (where not ${isSettled})::float8 as open,
                  count(*) filter (where ${isSettled})::float8 as replayed
             from quarantined_messages group by code order by 2 desc, code`,
  });
  return rows;
}

export async function getQuarantined(database: Session, id: string): Promise<QuarantinedMessage | null> {
  const { rows } = await database.query<StoredRow>({
    name: 'quarantine-get',
    text: `select ${columns}, payload from quarantined_messages where id = $1::bigint`,
    values: [id],
  });
  return rows[0] === undefined ? null : forPeople(rows[0]);
}

/** Those that no replay has settled: the never replayed ones first, then those that were refused longest ago. */
export async function listOpenIds(
  database: Session,
  filter: QuarantineFilter,
  limit: number,
): Promise<string[]> {
  const { rows } = await database.query<{ id: string }>({
    text: `select id from quarantined_messages where ${matches}
            order by replayed_at nulls first, id limit $7`,
    values: [...valuesOf({ ...filter, replayed: false }), limit],
  });
  return rows.map(({ id }) => id);
}

function valuesOf({ meter_id, code, topic, since, until, replayed }: QuarantineFilter): unknown[] {
  return [
    meter_id,
    code,
    topic === null ? null : topicPattern(topic),
    since === null ? null : new Date(since).toISOString(),
    until === null ? null : new Date(until).toISOString(),
    replayed,
  ];
}

interface StoredRow extends Omit<
  QuarantinedMessage,
  | 'id'
  | 'payload'
  | 'payload_encoding'
  | 'payload_bytes'
  | 'payload_cut'
  | 'received_at'
  | 'quarantined_at'
  | 'replayed_at'
> {
  readonly id: string;
  readonly bytes: number;
  readonly payload: Buffer;
  readonly received_at: Date;
  readonly quarantined_at: Date;
  readonly replayed_at: Date | null;
}

function forPeople({ bytes, payload, ...row }: StoredRow): QuarantinedMessage {
  return {
    ...row,
    ...shown(payload, bytes),
    id: Number(row.id),
    received_at: row.received_at.toISOString(),
    quarantined_at: row.quarantined_at.toISOString(),
    replayed_at: row.replayed_at?.toISOString() ?? null,
  };
}

/** PostgreSQL's text cannot hold it. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}

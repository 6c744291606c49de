import { isUtf8 } from 'node:buffer';

import type { Session } from '../database/database.js';
import { byteArray, integerArray, textArray } from './array-literal.js';
import type { PageRequest } from './page.js';
import type { Rejection } from './reading.js';

/** A row of quarantined_messages, for people. */
export interface QuarantinedMessage {
  readonly id: number;
  readonly device_id: string | null;
  readonly meter_id: string | null;
  readonly topic: string;
  readonly qos: number;
  readonly part: number;
  readonly code: string;
  readonly reason: string;
  /** The text, or the bytes in base64 when `payload_encoding` says so. */
  readonly payload: string;
  readonly payload_encoding: 'utf8' | 'base64';
  readonly received_at: string;
  readonly quarantined_at: string;
}

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

export async function listRejections(
  database: Session,
  { limit, offset, order }: PageRequest<'quarantined_at'>,
  meter_id: string | null,
  code: string | null,
): Promise<{ data: QuarantinedMessage[]; total: number }> {
  const { rows } = await database.query<StoredRow>({
    text: `select id, device_id, meter_id, topic, qos, part, code, reason, payload, received_at, quarantined_at
             from quarantined_messages
            where ($1::text is null or meter_id = $1) and ($2::text is null or code = $2)
            order by quarantined_at ${order === 'asc' ? 'asc, id asc' : 'desc, id desc'}
            limit $3 offset $4`,
    values: [meter_id, code, limit, offset],
  });
  const counted = await database.query<{ total: number }>({
    text: `select count(*)::float8 as total from quarantined_messages
            where ($1::text is null or meter_id = $1) and ($2::text is null or code = $2)`,
    values: [meter_id, code],
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

interface StoredRow {
  readonly id: string;
  readonly device_id: string | null;
  readonly meter_id: string | null;
  readonly topic: string;
  readonly qos: number;
  readonly part: number;
  readonly code: string;
  readonly reason: string;
  readonly payload: Buffer;
  readonly received_at: Date;
  readonly quarantined_at: Date;
}

function forPeople(row: StoredRow): QuarantinedMessage {
  const payload_encoding = isUtf8(row.payload) ? 'utf8' : 'base64';
  return {
    ...row,
    id: Number(row.id),
    payload: row.payload.toString(payload_encoding),
    payload_encoding,
    received_at: row.received_at.toISOString(),
    quarantined_at: row.quarantined_at.toISOString(),
  };
}

/** PostgreSQL's text cannot hold it. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}

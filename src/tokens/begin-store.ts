import type { Session } from '../database/database.js';

/** An injection whose turn has come. */
export interface NewInjection {
  readonly id: string;
  readonly meterNumber: string;
  readonly meterId: string;
  readonly tokenHash: Buffer;
  readonly tokenLast4: string;
  readonly caller: string;
  readonly instance: string;
  readonly run: string;
  /** Unix ms. */
  readonly requestedAt: number;
  /** When nobody can be waiting for it any more. */
  readonly deadlineMs: number;
}

export type Begun =
  | {
      readonly outcome: 'begun';
      /** This very token was sent to the meter before, without an answer: it may be booked. */
      readonly isRepeated: boolean;
    }
  /** Confirmed by a meter; bound to another meter. `id` of that injection. */
  | { readonly outcome: 'used' | 'bound'; readonly id: string }
  /** Another instance waits for this meter: for the same token, or for another one. */
  | { readonly outcome: 'busy'; readonly id: string; readonly isSame: boolean };

/**
 * Writes them down, each unless its token is used or bound, or its meter is busy. Both unique indexes of what waits
 * decide between instances that come at the same moment.
 */
export async function beginAll(session: Session, news: readonly NewInjection[]): Promise<Begun[]> {
  const { rows } = await session.query<BegunRow>({
    name: 'begin-injections',
    text: `with n as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                                  $8::uuid[], $9::timestamptz[], $10::float8[]) with ordinality as n
               (id, meter_number, meter_id, token_hash, token_last4, caller, instance, run, requested_at, ms, place)
           ), judged as materialized (
             select n.*,
                    (select t.id from token_injections t
                      where t.token_hash = n.token_hash and t.status = 'success') as used_by,
                    (select t.id from token_injections t
                      where t.token_hash = n.token_hash and t.meter_id <> n.meter_id
                        and (t.status = 'waiting'
                             or (t.sent_at is not null and t.refusal is distinct from 'wrong_meter'))
                      limit 1) as bound_by,
                    (select true from token_injections t
                      where t.meter_id = n.meter_id and t.token_hash = n.token_hash and t.sent_at is not null
                        and (t.status = 'unanswered' or t.code = 'TOKEN_API_FAILED')
                      limit 1) is true as repeated
               from n
           ), begun as (
             insert into token_injections (id, meter_number, meter_id, token_hash, token_last4, caller, instance, run,
                                           requested_at, deadline_at)
             select id, meter_number, meter_id, token_hash, token_last4, caller, instance, run, requested_at,
                    now() + ms * interval '1 millisecond'
               from judged where used_by is null and bound_by is null order by place
             on conflict do nothing
             returning id
           )
           select used_by, bound_by, repeated, begun.id is not null as begun
             from judged j left join begun on begun.id = j.id order by place`,
    values: [
      news.map(({ id }) => id),
      news.map(({ meterNumber }) => meterNumber),
      news.map(({ meterId }) => meterId),
      news.map(({ tokenHash }) => tokenHash),
      news.map(({ tokenLast4 }) => tokenLast4),
      news.map(({ caller }) => caller),
      news.map(({ instance }) => instance),
      news.map(({ run }) => run),
      news.map(({ requestedAt }) => new Date(requestedAt).toISOString()),
      news.map(({ deadlineMs }) => deadlineMs),
    ],
  });
  return Promise.all(rows.map((row, index) => begunOf(session, row, news[index])));
}

interface BegunRow {
  readonly used_by: string | null;
  readonly bound_by: string | null;
  readonly repeated: boolean;
  readonly begun: boolean;
}

async function begunOf(session: Session, row: BegunRow, wanted: NewInjection | undefined): Promise<Begun> {
  if (row.used_by !== null) return { outcome: 'used', id: row.used_by };
  if (row.bound_by !== null) return { outcome: 'bound', id: row.bound_by };
  if (row.begun) return { outcome: 'begun', isRepeated: row.repeated };
  const { rows } = await session.query<{ id: string; same: boolean; meter_id: string }>({
    name: 'waiting-injection',
    text: `select id, token_hash = $2 as same, meter_id from token_injections
            where status = 'waiting' and (meter_id = $1 or token_hash = $2) order by meter_id = $1 desc limit 1`,
    values: [wanted?.meterId, wanted?.tokenHash],
  });
  const other = rows[0];
  // Gone in between: the next attempt tells.
  if (other === undefined) return { outcome: 'busy', id: '', isSame: false };
  if (other.meter_id !== wanted?.meterId) return { outcome: 'bound', id: other.id };
  return { outcome: 'busy', id: other.id, isSame: other.same };
}

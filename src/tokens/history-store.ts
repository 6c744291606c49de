import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { InjectionRecord, InjectionStatus } from './record.js';

/** Which ones; null: any. */
export interface InjectionFilter {
  readonly statuses: readonly InjectionStatus[] | null;
  /** Its meter_id, or its number as the caller wrote it. */
  readonly meter: string | null;
  /** Those only whose token came in an earlier injection. */
  readonly seenBefore: boolean;
}

const columns = `t.id, t.meter_number, t.meter_id, t.token_last4, t.status, t.phase, t.code, t.refusal, t.reason,
  t.injected_units::float8 as injected_units, t.answer, t.vendor_status, t.vendor_attempts, t.late, t.caller, t.instance,
  t.deadline_at, t.requested_at, t.subscribed_at, t.sent_at, t.acknowledged_at, t.answered_at, t.finished_at,
  (select count(*)::int from token_injections o
    where o.token_hash = t.token_hash and (o.requested_at, o.id) < (t.requested_at, t.id)) as seen_before`;

const matching = `($1::text[] is null or t.status = any($1)) and ($2::text is null or t.meter_id = $2 or t.meter_number = $2)
  and ($3::timestamptz is null or t.requested_at >= $3) and ($4::timestamptz is null or t.requested_at < $4)
  and (not $5::boolean or exists (select from token_injections o where o.token_hash = t.token_hash
                                     and (o.requested_at, o.id) < (t.requested_at, t.id)))`;

export async function selectInjections(
  session: Session,
  { limit, offset, order, start, end }: PageRequest<'requested_at'>,
  { statuses, meter, seenBefore }: InjectionFilter,
): Promise<{ data: InjectionRecord[]; total: number }> {
  const filter = [statuses, meter, iso(start), iso(end), seenBefore];
  const { rows } = await session.query<Row>({
    text: `select ${columns} from token_injections t where ${matching}
            order by t.requested_at ${order}, t.id ${order} limit $6 offset $7`,
    values: [...filter, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from token_injections t where ${matching}`,
    values: filter,
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

export async function selectInjection(session: Session, id: string): Promise<InjectionRecord | undefined> {
  const { rows } = await session.query<Row>({
    name: 'select-injection',
    text: `select ${columns} from token_injections t where t.id = $1`,
    values: [id],
  });
  return rows.map(forPeople)[0];
}

/**
 * Ends what nobody waits for any more: past its deadline, or of an earlier run of this instance. What was sent can
 * still be completed by a late answer.
 * @returns how many
 */
export async function endAbandoned(
  session: Session,
  { instance, run }: { readonly instance: string; readonly run: string },
): Promise<number> {
  const { rowCount } = await session.query({
    name: 'end-abandoned-injections',
    text: `update token_injections
              set status = case when sent_at is null then 'failed' else 'unanswered' end,
                  code = case when sent_at is null then 'INJECTION_INTERRUPTED' else 'TOKEN_UNANSWERED' end,
                  reason = case when sent_at is null then 'Meterflow stopped before the token was sent.'
                                else 'Meterflow stopped while it waited for the meter.' end,
                  finished_at = now()
            where status = 'waiting' and (deadline_at < now() or (instance = $1 and run <> $2::uuid))`,
    values: [instance, run],
  });
  return rowCount;
}

type Times =
  | 'deadline_at'
  | 'requested_at'
  | 'subscribed_at'
  | 'sent_at'
  | 'acknowledged_at'
  | 'answered_at'
  | 'finished_at';

type Row = Omit<InjectionRecord, Times> & { readonly [T in Times]: Date | null };

function forPeople(row: Row): InjectionRecord {
  return {
    ...row,
    deadline_at: row.deadline_at?.toISOString() ?? '',
    requested_at: row.requested_at?.toISOString() ?? '',
    subscribed_at: row.subscribed_at?.toISOString() ?? null,
    sent_at: row.sent_at?.toISOString() ?? null,
    acknowledged_at: row.acknowledged_at?.toISOString() ?? null,
    answered_at: row.answered_at?.toISOString() ?? null,
    finished_at: row.finished_at?.toISOString() ?? null,
  };
}

function iso(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

import type { Database, Session } from '../database/database.js';
import { textArray } from '../readings/array-literal.js';

/** A balance command as it goes to a meter ([M-6]). */
export interface ClaimedCommand {
  readonly id: string;
  readonly meter_id: string;
  /** Units, a decimal text of four decimals. */
  readonly balance: string;
  /** Unix ms, rising strictly for each meter. */
  readonly timestamp: number;
  readonly topic_name: string | null;
  readonly reason: string;
  readonly attempts: number;
  readonly created_at: Date;
  /** How long its turn had come when it was taken. */
  readonly dueSeconds: number;
}

export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Longer than a publication may take; meanwhile nobody else sends to that meter, so that no command overtakes another. */
const claimSeconds = 15;

/**
 * Takes commands whose turn it is, makes what they say, and puts off their next attempt. The timestamp is made here,
 * so that it rises also with several instances and when a clock was set back. In two steps: the balance is read only
 * once the rows are locked; whoever changes it afterwards has to wait for them, and raises their revision.
 * @param now Unix ms, of this instance's clock
 */
export function claimCommands(
  database: Database,
  { most, instance, now, backoff }: { most: number; instance: string; now: number; backoff: Backoff },
): Promise<ClaimedCommand[]> {
  return database.transaction(async (tx) => {
    const due = await tx.query<{ id: string; due: number }>({
      name: 'lock-due-commands',
      text: `select id::text, extract(epoch from clock_timestamp() - next_at)::float8 as due from outbox where kind = 'balance' and done_at is null and next_at <= now()
                and (claimed_until is null or claimed_until < now())
              order by next_at, id limit $1 for update skip locked`,
      values: [most],
    });
    if (due.rows.length === 0) return [];
    const { rows } = await tx.query<Omit<ClaimedCommand, 'dueSeconds'>>({
      name: 'claim-commands',
      text: `with told as (
               select o.id, o.subject, coalesce(a.balance, 0)::numeric(14, 4) as balance
                 from outbox o
                 left join accounts a on a.meter_id = o.subject and a.kind = 'units' and a.currency = ''
                where o.id = any($1::bigint[])
             ), stamped as (
               insert into balance_commands (meter_id, last_timestamp, sent_balance, sent_at)
               select subject, $2::bigint, balance, now() from told order by subject
               on conflict (meter_id) do update
                  set last_timestamp = greatest(excluded.last_timestamp, balance_commands.last_timestamp + 1),
                      sent_balance = excluded.sent_balance, sent_at = excluded.sent_at
               returning meter_id, last_timestamp, topic_name
             )
             update outbox o
                set attempts = o.attempts + 1, claimed_by = $3, claimed_until = now() + ${claimSeconds} * interval '1 second', sent_at = now(), sent_revision = o.revision,
                    next_at = now() + least($5::float8, $4::float8 * 2 ^ least(o.attempts, 30)) * interval '1 millisecond',
                    sent_payload = jsonb_build_object('balance', told.balance, 'timestamp', stamped.last_timestamp)
               from told join stamped on stamped.meter_id = told.subject
              where o.id = told.id
             returning o.id::text, o.subject as meter_id, told.balance::text, stamped.last_timestamp::float8 as timestamp,
                       stamped.topic_name, o.reason, o.attempts, o.created_at`,
      values: [due.rows.map(({ id }) => id), Math.trunc(now), instance, backoff.firstMs, backoff.mostMs],
    });
    const waited = new Map(due.rows.map((row) => [row.id, row.due]));
    return rows.map((row) => Object.assign(row, { dueSeconds: waited.get(row.id) ?? 0 }));
  });
}

/**
 * The broker has them: whoever comes next may send to these meters, in this order on the wire. Nobody waits for the disk
 * for this: should it be lost, the claim runs out by itself.
 * @returns whether more is wanted of one of them already
 */
export async function releaseCommands(
  session: Session,
  ids: readonly string[],
  instance: string,
): Promise<boolean> {
  const { rows } = await session.query<{ is_due: boolean }>({
    name: 'release-commands',
    text: `with quick as materialized (select set_config('synchronous_commit', 'off', true) as is)
           update outbox set claimed_until = null
             from quick
            where id = any($1::bigint[]) and claimed_by = $2 and done_at is null and quick.is = 'off'
           returning next_at <= now() as is_due`,
    values: [textArray(ids), instance],
  });
  return rows.some(({ is_due }) => is_due);
}

/** What an earlier life of this instance had taken and cannot finish. */
export async function releaseAll(session: Session, instance: string): Promise<void> {
  await session.query({
    text: `update outbox set claimed_until = null
            where kind = 'balance' and done_at is null and claimed_by = $1 and claimed_until is not null`,
    values: [instance],
  });
}

/** They did not leave: the next attempt is soon, and this one does not count. */
export async function putBack(session: Session, ids: readonly string[], afterMs: number): Promise<void> {
  await session.query({
    name: 'put-commands-back',
    text: `update outbox set attempts = greatest(attempts - 1, 0), claimed_until = null, next_at = now() + $2 * interval '1 millisecond'
            where id = any($1::bigint[]) and done_at is null`,
    values: [textArray(ids), afterMs],
  });
}

/** A command that a meter has confirmed. */
export interface ConfirmedCommand {
  readonly meter_id: string;
  /** Units. */
  readonly balance: number;
  readonly timestamp: number;
  readonly reason: string;
  readonly attempts: number;
  readonly wanted_at: Date;
  readonly confirmed_at: Date;
}

export async function selectConfirmed(session: Session, ids: readonly string[]): Promise<ConfirmedCommand[]> {
  const { rows } = await session.query<ConfirmedCommand>({
    name: 'select-confirmed',
    text: `select subject as meter_id, (sent_payload->>'balance')::float8 as balance,
                  (sent_payload->>'timestamp')::float8 as timestamp, reason, attempts, created_at as wanted_at,
                  done_at as confirmed_at
             from outbox where id = any($1::bigint[]) and done_at is not null order by done_at, id`,
    values: [textArray(ids)],
  });
  return rows;
}

export async function countOpen(session: Session): Promise<number> {
  const { rows } = await session.query<{ open: number }>({
    name: 'count-open-commands',
    text: `select count(*)::int as open from outbox where kind = 'balance' and done_at is null`,
  });
  return rows[0]?.open ?? 0;
}

/** Commands that were closed so many days ago are of no use any more; the ledger has what they were about. */
const keepDays = 90;
const forgottenAtOnce = 10_000;

/** @returns whether there may be more */
export async function forgetOldCommands(session: Session): Promise<boolean> {
  const { rowCount } = await session.query({
    name: 'forget-old-commands',
    text: `delete from outbox
            where id in (select id from outbox
                          where kind = 'balance' and done_at < now() - ${keepDays} * interval '1 day'
                          order by id limit ${forgottenAtOnce})`,
  });
  return rowCount === forgottenAtOnce;
}

import type { Database, Session } from '../database/database.js';
import { metrics } from '../operation/metrics.js';
import { integerArray, textArray } from '../readings/array-literal.js';

/** What a meter says after a balance command ([M-4]). */
export interface BalanceReport {
  readonly meter_id: string;
  /** Ten-thousandths of a unit. */
  readonly balance: number;
  /** The command's own timestamp, or the meter's time, Unix ms; null when it says none. */
  readonly timestamp: number | null;
  /** Unix ms. */
  readonly received_at: number;
}

/** A meter that shows two decimals has taken over the balance all the same. Ten-thousandths of a unit. */
const tolerance = 50;

/**
 * Closes the commands that these reports confirm: by the command's timestamp, or by its balance. A command that more
 * was wanted of in the meantime is sent again instead. Who sends commands hears of the closed ones.
 * @returns how many were closed
 */
export async function confirmCommands(
  database: Database,
  reports: readonly BalanceReport[],
): Promise<number> {
  const closed = await database.transaction((tx) => closeConfirmed(tx, reports));
  for (const { seconds } of closed) metrics.balanceConfirmSeconds.observe(seconds);
  return closed.length;
}

async function closeConfirmed(
  tx: Session,
  reports: readonly BalanceReport[],
): Promise<{ seconds: number }[]> {
  const { rows } = await tx.query<{ id: string; seconds: number; is_done: boolean }>({
    name: 'confirm-commands',
    text: `with said as (
             select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                             as s (meter_id, balance, timestamp, received_at)
           ), met as (
             select o.id from outbox o
              where o.kind = 'balance' and o.done_at is null and o.sent_at is not null and o.subject = any($1::text[])
                and exists (select from said s
                             where s.meter_id = o.subject
                               and ((o.sent_payload->>'timestamp')::bigint = s.timestamp
                                 or abs((o.sent_payload->>'balance')::numeric * 10000 - s.balance) <= ${tolerance}))
              order by o.subject for update
           ), closed as (
             update outbox o
                set done_at = case when o.revision = o.sent_revision then now() end,
                    outcome = case when o.revision = o.sent_revision then 'confirmed' end,
                    next_at = case when o.revision = o.sent_revision then o.next_at else now() end,
                    attempts = case when o.revision = o.sent_revision then o.attempts else 0 end
               from met where o.id = met.id
             returning o.id, o.subject, o.done_at is not null as is_done, o.sent_payload,
                       extract(epoch from now() - o.created_at)::float8 as seconds
           ), told as (
             update balance_commands c
                set confirmed_balance = (closed.sent_payload->>'balance')::numeric,
                    confirmed_at = (select to_timestamp(max(s.received_at)::float8 / 1000) from said s
                                     where s.meter_id = c.meter_id)
               from closed where c.meter_id = closed.subject
           )
           select id::text as id, seconds, is_done from closed`,
    values: [
      textArray(reports.map(({ meter_id }) => meter_id)),
      integerArray(reports.map(({ balance }) => balance)),
      `{${reports.map(({ timestamp }) => timestamp ?? 'NULL').join(',')}}`,
      integerArray(reports.map(({ received_at }) => Math.trunc(received_at))),
    ],
  });
  const done = rows.filter(({ is_done }) => is_done);
  await tellOthers(tx, done, rows.length > done.length);
  return done;
}

/** A notice has room for 8,000 bytes. */
const idsPerNotice = 300;

async function tellOthers(
  tx: Session,
  done: readonly { id: string }[],
  isMoreWanted: boolean,
): Promise<void> {
  const notices = isMoreWanted ? ['balance'] : [];
  for (let from = 0; from < done.length; from += idsPerNotice) {
    const ids = done.slice(from, from + idsPerNotice).map(({ id }) => id);
    notices.push(`confirmed:${ids.join(',')}`);
  }
  if (notices.length === 0) return;
  await tx.query({
    name: 'tell-confirmed',
    text: `select pg_notify('outbox_changed', n) from unnest($1::text[]) as n`,
    values: [textArray(notices)],
  });
}

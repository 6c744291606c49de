import type { Session } from '../database/database.js';
import { textArray } from '../readings/array-literal.js';

/** Why a command is wanted though no balance changed. */
export type WantReason = 'drift' | 'off' | 'replay';

/** Wants a balance command to each of these meters, in the transaction of the caller's. */
export async function wantCommands(
  tx: Session,
  meterIds: readonly string[],
  reason: WantReason,
): Promise<void> {
  await tx.query({
    name: 'want-commands',
    text: `select want_balance_command(meter_id, $2) from (select unnest($1::text[]) as meter_id order by 1) m`,
    values: [textArray(meterIds), reason],
  });
}

/**
 * Wants a command to those of these meters that have taken one before. A token has raised their own balance already;
 * a command that was on its way meanwhile has lowered it again, and a report that crossed it would look like a drift.
 * Meters that know tokens only would never confirm, and be told for ever.
 */
export async function wantCommandsAfterTokens(tx: Session, meterIds: readonly string[]): Promise<void> {
  await tx.query({
    name: 'want-commands-after-tokens',
    text: `select want_balance_command(meter_id, 'token')
             from (select meter_id from balance_commands
                    where meter_id = any($1::text[]) and confirmed_at is not null order by meter_id) m`,
    values: [textArray(meterIds)],
  });
}

/**
 * The same a little later, when what is between meter and ledger has come to rest. A command that is open and was sent
 * already is not the last word any more.
 */
export async function wantCommandsLater(
  tx: Session,
  meterIds: readonly string[],
  delayMs: number,
): Promise<void> {
  await tx.query({
    name: 'want-commands-later',
    text: `with wanted as (
             insert into outbox (kind, subject, reason, next_at)
             select 'balance', meter_id, 'late', now() + $2::float8 * interval '1 millisecond'
               from (select unnest($1::text[]) as meter_id order by 1) m
             on conflict (subject) where kind = 'balance' and done_at is null
             do update set revision = outbox.revision + 1, next_at = least(outbox.next_at, excluded.next_at)
             returning 1
           )
           select pg_notify('outbox_changed', 'balance') from wanted limit 1`,
    values: [textArray(meterIds), delayMs],
  });
}

/**
 * What is on its way to these meters is not the last word: when it is confirmed another one follows. Until then nothing
 * is sent sooner or oftener; a meter that never confirms is told as before.
 */
export async function wantAnotherCommand(tx: Session, meterIds: readonly string[]): Promise<void> {
  await tx.query({
    name: 'want-another-command',
    text: `update outbox o set revision = o.revision + 1
             from (select id from outbox
                    where kind = 'balance' and subject = any($1::text[]) and done_at is null and sent_revision = revision
                    order by subject for update) open
            where o.id = open.id`,
    values: [textArray(meterIds)],
  });
}

/** Why a meter is told its balance again: it came, or it asked. */
export type WakeReason = 'connected' | 'subscribed' | 'online' | 'request';

export interface Wake {
  readonly meter_id: string;
  readonly reason: WakeReason;
  /** Only if it has a balance: any device connects. */
  readonly onlyPrepaid: boolean;
  readonly delayMs: number;
  /** How it names itself in its topics. */
  readonly name: string;
}

/**
 * Sends meters their balance at once, an open command or a new one: it came back, or asked. A command that is open
 * stays the one that it is; its next attempt is moved up.
 */
export async function wakeMeters(session: Session, wakes: readonly Wake[]): Promise<void> {
  await session.query({
    name: 'wake-meters',
    text: `with wakes as (
             select w.meter_id, min(w.reason) as reason, min(w.delay_ms) as delay_ms
               from unnest($1::text[], $2::text[], $3::boolean[], $4::float8[])
                    as w (meter_id, reason, only_prepaid, delay_ms)
              where not w.only_prepaid
                 or exists (select from accounts a where a.meter_id = w.meter_id and a.kind = 'units')
              group by w.meter_id
           ), wanted as (
             insert into outbox (kind, subject, reason, next_at)
             select 'balance', meter_id, reason, now() + delay_ms * interval '1 millisecond' from wakes order by meter_id
             on conflict (subject) where kind = 'balance' and done_at is null
             do update set next_at = least(outbox.next_at, excluded.next_at), attempts = 0
             returning 1
           )
           select pg_notify('outbox_changed', 'balance') from wanted limit 1`,
    values: [
      textArray(wakes.map(({ meter_id }) => meter_id)),
      textArray(wakes.map(({ reason }) => reason)),
      `{${wakes.map(({ onlyPrepaid }) => onlyPrepaid).join(',')}}`,
      `{${wakes.map(({ delayMs }) => delayMs).join(',')}}`,
    ],
  });
}

/** Keeps how meters name themselves in their topics, where that is not their meter_id. */
export async function keepTopicNames(
  session: Session,
  names: readonly Pick<Wake, 'meter_id' | 'name'>[],
): Promise<void> {
  await session.query({
    name: 'topic-names',
    text: `insert into balance_commands (meter_id, last_timestamp, topic_name)
           select distinct on (meter_id) meter_id, 0, nullif(name, meter_id)
             from unnest($1::text[], $2::text[]) as u (meter_id, name)
            where u.name <> u.meter_id
               or exists (select from balance_commands b where b.meter_id = u.meter_id and b.topic_name is not null)
            order by meter_id, name
           on conflict (meter_id) do update set topic_name = excluded.topic_name
            where balance_commands.topic_name is distinct from excluded.topic_name`,
    values: [textArray(names.map(({ meter_id }) => meter_id)), textArray(names.map(({ name }) => name))],
  });
}

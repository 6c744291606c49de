import type { Session } from '../database/database.js';
import { integerArray, textArray } from '../readings/array-literal.js';

/** A meter whose report calls for a closer look. Amounts in ten-thousandths of a unit, times in Unix ms. */
export interface Suspect {
  readonly index: number;
  /** Of the last command; null: none was ever sent. */
  readonly commanded: number | null;
  readonly sent_at: number | null;
  /** When the meter's last confirmation came in. */
  readonly confirmed_at: number | null;
  /** A command is under way, or a token, whose units the meter may have and the ledger not yet. */
  readonly is_open: boolean;
  readonly is_drifting: boolean;
}

export interface Comparison {
  readonly meter_id: string;
  /** What the meter has more than the ledger. */
  readonly difference: number;
  /** Time of the oldest of its reports in this commit. */
  readonly oldest: number | null;
  /** When the newest of them came in. */
  readonly receivedAt: number;
}

/**
 * Of these meters those that differ, that drift, or that report what they may have consumed before they took over their
 * last command.
 */
export async function selectSuspects(
  tx: Session,
  meters: readonly Comparison[],
  tolerance: number,
): Promise<Suspect[]> {
  const { rows } = await tx.query<Suspect>({
    name: 'balance-suspects',
    text: `select (m.n - 1)::int as index, c.last_timestamp::float8 as commanded,
                  (extract(epoch from c.sent_at) * 1000)::float8 as sent_at,
                  (extract(epoch from c.confirmed_at) * 1000)::float8 as confirmed_at,
                  exists (select from outbox o
                           where o.kind = 'balance' and o.subject = m.meter_id and o.done_at is null)
                    or exists (select from token_injections t
                                where t.meter_id = m.meter_id and t.status = 'waiting') as is_open,
                  exists (select from balance_drifts d
                           where d.meter_id = m.meter_id and d.resolved_at is null) as is_drifting
             from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                    with ordinality as m (meter_id, difference, oldest, received_at, n)
             left join balance_commands c on c.meter_id = m.meter_id
            where abs(m.difference) > $5::bigint or m.oldest < c.last_timestamp
               or to_timestamp(m.received_at::float8 / 1000) <= c.confirmed_at
               or exists (select from outbox o
                           where o.kind = 'balance' and o.subject = m.meter_id and o.done_at is null
                             and o.sent_revision = o.revision)
               or exists (select from balance_drifts d where d.meter_id = m.meter_id and d.resolved_at is null)`,
    values: [
      textArray(meters.map(({ meter_id }) => meter_id)),
      integerArray(meters.map(({ difference }) => difference)),
      `{${meters.map(({ oldest }) => oldest ?? 'NULL').join(',')}}`,
      integerArray(meters.map(({ receivedAt }) => Math.trunc(receivedAt))),
      tolerance,
    ],
  });
  return rows;
}

/** What these meters consumed before their last command and reported after it, ten-thousandths of a unit. */
export async function selectLateUnits(
  tx: Session,
  meterIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const { rows } = await tx.query<{ meter_id: string; late: number }>({
    name: 'select-late-units',
    text: `select c.meter_id, (sum(r.units) * 10000)::float8 as late
             from balance_commands c
             join consumption_reports r on r.meter_id = c.meter_id and r.received_at >= c.sent_at - interval '1 second'
                                       and r.reported_at < to_timestamp(c.last_timestamp::float8 / 1000)
            where c.meter_id = any($1::text[])
            group by c.meter_id`,
    values: [textArray(meterIds)],
  });
  return new Map(rows.map(({ meter_id, late }) => [meter_id, late]));
}

export interface Disagreement {
  readonly meter_id: string;
  readonly ledger: number;
  readonly meter: number;
}

export interface Episode {
  readonly meter_id: string;
  readonly occurrences: number;
  readonly first_at: Date;
}

/** One row per episode. */
export async function upsertDrifts(tx: Session, found: readonly Disagreement[]): Promise<Episode[]> {
  const { rows } = await tx.query<Episode>({
    name: 'upsert-drifts',
    text: `insert into balance_drifts (meter_id, ledger_balance, meter_balance)
           select u.meter_id, u.ledger * 0.0001, u.meter * 0.0001
             from unnest($1::text[], $2::bigint[], $3::bigint[]) as u (meter_id, ledger, meter)
            order by u.meter_id
           on conflict (meter_id) where resolved_at is null
           do update set occurrences = balance_drifts.occurrences + 1, last_at = now(),
                         ledger_balance = excluded.ledger_balance, meter_balance = excluded.meter_balance
           returning meter_id, occurrences, first_at`,
    values: [
      textArray(found.map(({ meter_id }) => meter_id)),
      integerArray(found.map(({ ledger }) => ledger)),
      integerArray(found.map(({ meter }) => meter)),
    ],
  });
  return rows;
}

export async function resolveDrifts(tx: Session, meterIds: readonly string[]): Promise<void> {
  await tx.query({
    name: 'resolve-drifts',
    text: `update balance_drifts set resolved_at = now() where resolved_at is null and meter_id = any($1::text[])`,
    values: [textArray(meterIds)],
  });
}

import type { Session } from '../database/database.js';

/** A meter, and what has to be known to count its readings. */
export interface Countable {
  readonly meter_id: string;
  /** Days before this instant are written down; as PostgreSQL writes it. */
  readonly sealed: string;
  /** Some of them have changed since. */
  readonly changed: boolean;
}

/** By meter_id or drn. Null: there is none. */
export async function findCountable(session: Session, name: string): Promise<Countable | null> {
  const { rows } = await session.query<Countable>({
    name: 'meter-countable',
    text: `select d.meter_id, (s.sealed_until::timestamp at time zone 'UTC')::text as sealed,
                  exists (select from meter_stats_changes c where c.meter_id = d.meter_id) as changed
             from meter_stats_state s, devices d
            where d.meter_id = $1 or d.drn = $1 order by d.meter_id = $1 desc limit 1`,
    values: [name],
  });
  return rows[0] ?? null;
}

/**
 * All readings of one meter that are kept. Days that are written down are not counted again: of a year of quarters of
 * an hour, 35,000 readings in 365 partitions, those of the last nine days are left.
 */
export async function countOf(session: Session, { meter_id, sealed, changed }: Countable): Promise<number> {
  const { rows } = await session.query<{ total: number }>({
    text: `select (
             coalesce((select sum(s.reading_count) from meter_stats_daily s
                        where s.meter_id = $1::text and s.day_bucket < $2::timestamptz
                          and s.day_bucket >= (select state.kept_from::timestamp at time zone 'UTC' from meter_stats_state state)
                          ${changed ? `and ${notChanged}` : ''}), 0)
             + (select count(*) from meter_readings r
                 where r.meter_id = $1::text and r.reading_timestamp >= $2::timestamptz)
             ${changed ? `+ ${changedCount}` : ''})::float8 as total`,
    values: [meter_id, sealed],
  });
  return rows[0]?.total ?? 0;
}

const notChanged = `not exists (select from meter_stats_changes c
                         where c.meter_id = s.meter_id and c.day = (s.day_bucket at time zone 'UTC')::date)`;

const changedCount = `(select count(*)
    from (select distinct n.day from meter_stats_changes n where n.meter_id = $1::text) c
    join meter_readings r on r.meter_id = $1::text
     and r.reading_timestamp >= c.day::timestamp at time zone 'UTC'
     and r.reading_timestamp < (c.day + 1)::timestamp at time zone 'UTC'
   where r.reading_timestamp < $2::timestamptz)`;

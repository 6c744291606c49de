import type { Session } from '../database/database.js';
import type { BucketSort, ReadingTotals } from './bucket.js';
import type { Span } from './span.js';

/** What has to be known before the question is put, so that it names as few tables as possible. */
export interface Outlook {
  readonly meter_id: string;
  /** Mocks have no statistics. */
  readonly mock: boolean;
  /** The buckets that the span touches, as whole ones; Unix ms. */
  readonly start: number;
  readonly end: number;
  /** Every bucket begins with an hour of UTC. */
  readonly whole: boolean;
  /** Up to here statistics are written down; Unix ms, -Infinity: none are. */
  readonly sealed: number;
  /** Some of them have changed since. */
  readonly changed: boolean;
}

/** Null: no meter has this meter_id or drn. */
export async function findOutlook(
  session: Session,
  meter: string,
  unit: 'hour' | 'day',
  span: Span,
  zone: string,
): Promise<Outlook | null> {
  const { rows } = await session.query<Outlook>({
    name: 'statistics-outlook',
    text: `with span as (
             select date_trunc($2, to_timestamp($3::float8 / 1000), $5) as begins, to_timestamp($4::float8 / 1000) as ends
           ), days as (
             select d.local at time zone $5 as at
               from span, generate_series(span.begins at time zone $5, span.ends at time zone $5 + interval '1 day',
                                          interval '1 day') as d (local)
              where $2 = 'day'
           )
           select d.meter_id, exists (select from mock_meters m where m.meter_id = d.meter_id) as mock,
                  extract(epoch from span.begins)::float8 * 1000 as start,
                  extract(epoch from case when $2 = 'hour' then date_trunc('hour', span.ends + interval '1 hour' - interval '1 microsecond', $5)
                          else (select min(days.at) from days where days.at >= span.ends) end)::float8 * 1000 as end,
                  coalesce((select bool_and(extract(epoch from days.at)::bigint % 3600 = 0) from days), true) as whole,
                  extract(epoch from s.sealed_until::timestamp at time zone 'UTC')::float8 * 1000 as sealed,
                  exists (select from meter_stats_changes c where c.meter_id = d.meter_id) as changed
             from span, meter_stats_state s, devices d
            where d.meter_id = $1 or d.drn = $1
            order by d.meter_id = $1 desc limit 1`,
    values: [meter, unit, span.start, span.end, zone],
  });
  return rows[0] ?? null;
}

export interface BucketRow {
  /** Where it begins. */
  readonly bucket: Date;
  /** 2026-11-20, of a day in its time zone. */
  readonly date: string;
  readonly reading_count: number;
  readonly total_kwh: number;
  readonly avg_kwh: number;
  readonly min_kwh: number;
  readonly max_kwh: number;
}

export interface Order {
  readonly sort: BucketSort;
  readonly order: 'asc' | 'desc';
}

/**
 * Whole buckets between `start` and `end`. Not prepared: a plan that knows the times looks at their partitions alone
 * (1 ms instead of 20 with a year of them).
 */
export async function selectBuckets(
  session: Session,
  { meter_id, start, end, whole, sealed, changed }: Outlook,
  unit: 'hour' | 'day',
  zone: string,
  { sort, order }: Order,
): Promise<BucketRow[]> {
  const written = whole ? Math.max(start, Math.min(end, sealed)) : start;
  const parts = [
    ...(written > start ? [writtenPart(unit === 'day' && zone === 'UTC' ? 'daily' : 'hourly', changed)] : []),
    ...(written > start && changed ? [changedPart] : []),
    ...(end > written ? [freshPart] : []),
  ];
  if (parts.length === 0) return [];
  const { rows } = await session.query<BucketRow>({
    text: `with asked as (
             select $1::text as meter_id, $2::timestamptz as begins, $3::timestamptz as written, $4::timestamptz as ends
           ), bucket as (
             select date_trunc($5, p.at, $6) as bucket, sum(p.readings)::float8 as reading_count,
                    sum(p.total)::float8 as total_kwh, round(sum(p.total) / sum(p.readings), 4)::float8 as avg_kwh,
                    min(p.least)::float8 as min_kwh, max(p.most)::float8 as max_kwh
               from (${parts.join(' union all ')}) p, asked
              group by 1
           )
           select b.bucket, (b.bucket at time zone $6)::date::text as date, b.reading_count, b.total_kwh, b.avg_kwh,
                  b.min_kwh, b.max_kwh
             from bucket b order by b.${columns[sort]} ${order}, b.bucket ${order}`,
    values: [meter_id, ...[start, written, end].map((time) => new Date(time).toISOString()), unit, zone],
  });
  return rows;
}

/** What a caller may name, and what stands in the statement for it. */
const columns: Readonly<Record<BucketSort, string>> = {
  hour_bucket: 'bucket',
  day_bucket: 'bucket',
  reading_count: 'reading_count',
  total_kwh: 'total_kwh',
  avg_kwh: 'avg_kwh',
  min_kwh: 'min_kwh',
  max_kwh: 'max_kwh',
};

function writtenPart(table: 'hourly' | 'daily', changed: boolean): string {
  const at = table === 'hourly' ? 's.hour_bucket' : 's.day_bucket';
  return `select ${at} as at, s.reading_count as readings, s.total_kwh as total, s.min_kwh as least, s.max_kwh as most
            from meter_stats_${table} s
           where s.meter_id = $1::text and ${at} >= $2::timestamptz and ${at} < $3::timestamptz
             and ${at} >= (select state.kept_from::timestamp at time zone 'UTC' from meter_stats_state state)
             ${
               changed
                 ? `and not exists (select from meter_stats_changes c
                         where c.meter_id = s.meter_id and c.day = (${at} at time zone 'UTC')::date)`
                 : ''
             }`;
}

const reading = `r.reading_timestamp as at, 1 as readings, r.kwh_amount as total, r.kwh_amount as least, r.kwh_amount as most`;

const changedPart = `select ${reading}
    from (select distinct n.day from meter_stats_changes n where n.meter_id = $1::text) c
    join meter_readings r on r.meter_id = $1::text
     and r.reading_timestamp >= c.day::timestamp at time zone 'UTC'
     and r.reading_timestamp < (c.day + 1)::timestamp at time zone 'UTC'
   where r.reading_timestamp >= $2::timestamptz and r.reading_timestamp < $3::timestamptz`;

const freshPart = `select ${reading} from meter_readings r
   where r.meter_id = $1::text and r.reading_timestamp >= $3::timestamptz and r.reading_timestamp < $4::timestamptz`;

/** Instead of the view mock_meters, for which all devices would be read. */
export const isNoMock = `not exists (select from devices d where d.meter_id = o.meter_id and d.mock)
              and not exists (select from mock_devices m where m.id = o.meter_id)`;

/**
 * The readings of a user, each as long as the meter was his; mocks left out. The meters are looked up first: joined with
 * them, the days that are not written down yet would be read as a whole.
 */
export async function selectTotals(session: Session, user_id: string): Promise<ReadingTotals> {
  const { rows: state } = await session.query<{ sealed: string; changed: boolean; meters: string[] }>({
    name: 'statistics-state',
    text: `select (s.sealed_until::timestamp at time zone 'UTC')::text as sealed,
                  exists (select from meter_owners o join meter_stats_changes c on c.meter_id = o.meter_id
                           where o.user_id = $1::uuid) as changed,
                  (select coalesce(array_agg(o.meter_id), '{}') from meter_owners o
                    where o.user_id = $1::uuid and ${isNoMock}) as meters
             from meter_stats_state s`,
    values: [user_id],
  });
  const changed = state[0]?.changed === true;
  const { rows } = await session.query<ReadingTotals>({
    text: `with total as (
             select coalesce(sum(p.kwh), 0) as kwh, coalesce(sum(p.minted_kwh), 0) as minted_kwh,
                    coalesce(sum(p.readings), 0) as readings, coalesce(sum(p.minted), 0) as minted
               from (select s.reading_count::bigint as readings, s.total_kwh as kwh, s.minted_count::bigint as minted, s.minted_kwh
                       from meter_stats_daily s
                      where s.meter_id = any($3::text[]) and s.user_id = $1::uuid and s.day_bucket < $2::timestamptz
                        and s.day_bucket >= (select state.kept_from::timestamp at time zone 'UTC' from meter_stats_state state)
                        ${
                          changed
                            ? `and not exists (select from meter_stats_changes c
                                    where c.meter_id = s.meter_id and c.day = (s.day_bucket at time zone 'UTC')::date)`
                            : ''
                        }
                      union all
                     select ${share} from meter_readings r
                      where r.meter_id = any($3::text[]) and r.user_id = $1::uuid and r.reading_timestamp >= $2::timestamptz
                     ${
                       changed
                         ? `union all
                     select ${share}
                       from (select distinct n.meter_id, n.day from meter_stats_changes n where n.meter_id = any($3::text[])) c
                      cross join lateral (
                        select m.user_id, m.reading_timestamp, m.kwh_amount, m.minted from meter_readings m
                         where m.meter_id = c.meter_id
                           and m.reading_timestamp >= c.day::timestamp at time zone 'UTC'
                           and m.reading_timestamp < (c.day + 1)::timestamp at time zone 'UTC'
                        offset 0) r
                      where r.user_id = $1::uuid and r.reading_timestamp < $2::timestamptz`
                         : ''
                     }) p
           )
           select t.kwh::float8 as total_kwh, (t.kwh - t.minted_kwh)::float8 as unminted_kwh,
                  t.minted_kwh::float8 as minted_kwh, t.readings::float8 as total_readings,
                  (t.readings - t.minted)::float8 as unminted_readings, t.minted::float8 as minted_readings
             from total t`,
    values: [user_id, state[0]?.sealed, state[0]?.meters],
  });
  return rows[0] ?? none;
}

const share = `1, r.kwh_amount, r.minted::int, case when r.minted then r.kwh_amount else 0 end`;

export const none: ReadingTotals = {
  total_kwh: 0,
  unminted_kwh: 0,
  minted_kwh: 0,
  total_readings: 0,
  unminted_readings: 0,
  minted_readings: 0,
};

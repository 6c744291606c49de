import type { Session } from '../database/database.js';
import type { Span } from '../statistics/span.js';
import type { UnmintedFilter } from './unminted-store.js';

const dayMs = 86_400_000;

/** From when to when days are taken as they are written down (Unix ms); none are when the two are the same. */
export interface Written {
  readonly from: number;
  readonly to: number;
  /** Some of them have changed since. */
  readonly changed: boolean;
}

/** Of the days of a span, those that were whole and written down. */
export async function findWritten(session: Session, span: Span): Promise<Written> {
  const { rows } = await session.query<{ kept: number; sealed: number; changed: boolean }>({
    name: 'unminted-written',
    text: `select extract(epoch from s.kept_from::timestamp at time zone 'UTC')::float8 * 1000 as kept,
                  extract(epoch from s.sealed_until::timestamp at time zone 'UTC')::float8 * 1000 as sealed,
                  exists (select from meter_stats_changes) as changed
             from meter_stats_state s`,
  });
  const { kept, sealed, changed } = rows[0] ?? { kept: -Infinity, sealed: -Infinity, changed: false };
  const from = Math.max(Math.ceil(span.start / dayMs) * dayMs, kept);
  const to = Math.min(Math.floor(span.end / dayMs) * dayMs, sealed);
  return from < to ? { from, to, changed } : { from: span.start, to: span.start, changed };
}

/**
 * What was not minted, summed up by meter, day (UTC) and wallet: `meter_id, wallet_address, day, readings, kwh, reason`.
 * A month of 1,000 meters is 30,000 rows that are written down, and not 3 million readings. Beneath a wallet may stand
 * rows that take away from others: readings that carry a wallet of their own are written down as their owner's.
 * $1 and $2 are the times between which days are written down, $3 the meter, $4 the wallet.
 */
export function sumsOf(span: Span, { wallet }: UnmintedFilter, written: Written): string {
  const ofOwners = wallet === null ? '' : ownersOnly;
  const fresh = freshSpans(span, written);
  const parts = [
    ...fresh.map((part) => `select ${freshOf(part)} ${ofOwners} group by 1, 2, 3`),
    // A reading with a wallet of its own is the wallet's, whoever the owner is.
    ...(wallet === null
      ? []
      : fresh.map((part) => `select ${freshOf(part)} and r.wallet_address = $4 group by 1, 2, 3`)),
    ...(written.from === written.to ? [] : writtenParts(wallet !== null, written.changed)),
  ];
  return `select p.meter_id, p.wallet_address, p.day, sum(p.readings) as readings, sum(p.kwh) as kwh,
                 case when k.meter_id is not null then 'mock' when p.wallet_address is null then 'no_wallet' end as reason
            from (select q.meter_id, coalesce(q.wallet_address, u.wallet_address) as wallet_address, q.day, q.readings, q.kwh
                    from (${parts.join(' union all ')}) q left join users u on u.id = q.user_id) p
            left join mock_meters k on k.meter_id = p.meter_id
           -- Every parameter has to be named, also where no part needs it.
           where num_nulls($1::timestamptz, $2::timestamptz, $3::text, $4::text) >= 0
           group by p.meter_id, p.wallet_address, p.day, k.meter_id having sum(p.readings) > 0`;
}

export function sumValues(written: Written, filter: UnmintedFilter): unknown[] {
  return [iso(written.from), iso(written.to), filter.meter, filter.wallet];
}

/**
 * What has to be read, day by day: so PostgreSQL sums up one partition after the other in memory, where it would sort
 * them all on disk (0.7 instead of 3.8 s for 860,000 readings).
 */
function freshSpans({ start, end }: Span, { from, to }: Written): Span[] {
  return [...daysOf({ start, end: from }), ...daysOf({ start: to, end })];
}

function daysOf({ start, end }: Span): Span[] {
  const days: Span[] = [];
  for (let begin = start; begin < end; begin = days.at(-1)?.end ?? end)
    days.push({ start: begin, end: Math.min(end, (Math.floor(begin / dayMs) + 1) * dayMs) });
  return days;
}

/** Times stand in the statement as they are: the plan knows the one partition. */
function freshOf({ start, end }: Span): string {
  return `r.meter_id, r.user_id, r.wallet_address, '${iso(Math.floor(start / dayMs) * dayMs)}'::timestamptz as day,
          count(*) as readings, sum(r.kwh_amount) as kwh
     from meter_readings r where ${between(`'${iso(start)}'`, `'${iso(end)}'`)} and ${unminted}`;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

const unminted = `not r.minted and ($3::text is null or r.meter_id = $3)`;
const changedDay = `r.meter_id, r.user_id, r.wallet_address, date_trunc('day', r.reading_timestamp, 'UTC') as day,
  count(*) as readings, sum(r.kwh_amount) as kwh`;
const owned = `= any (array(select o.meter_id from meter_owners o join users w on w.id = o.user_id where w.wallet_address = $4))`;
const owners = `= any (array(select w.id from users w where w.wallet_address = $4))`;
const ownersOnly = `and r.wallet_address is null and r.user_id ${owners} and r.meter_id ${owned}`;

function between(from: string, to: string): string {
  return `r.reading_timestamp >= ${from}::timestamptz and r.reading_timestamp < ${to}::timestamptz`;
}

function writtenParts(ofWallet: boolean, changed: boolean): string[] {
  const ofOwners = ofWallet ? `and s.user_id ${owners} and s.meter_id ${owned}` : '';
  const unchanged = (meter: string, at: string): string =>
    changed
      ? `and not exists (select from meter_stats_changes c
            where c.meter_id = ${meter} and c.day = (${at} at time zone 'UTC')::date)`
      : '';
  const own = `from meter_readings r where ${between('$1', '$2')} and ${unminted} and r.wallet_address is not null
                and ${unchanged('r.meter_id', 'r.reading_timestamp').slice(4) || 'true'}`;
  const notes = `select distinct n.meter_id, n.day from meter_stats_changes n
                  where n.day >= ($1::timestamptz at time zone 'UTC')::date and n.day < ($2::timestamptz at time zone 'UTC')::date
                    and ($3::text is null or n.meter_id = $3)`;
  return [
    `select s.meter_id, s.user_id, null, s.day_bucket, s.reading_count - s.minted_count, s.total_kwh - s.minted_kwh
       from meter_stats_daily s
      where s.day_bucket >= $1::timestamptz and s.day_bucket < $2::timestamptz and s.reading_count > s.minted_count
        and ($3::text is null or s.meter_id = $3) ${ofOwners} ${unchanged('s.meter_id', 's.day_bucket')}`,
    `select r.meter_id, r.user_id, null, date_trunc('day', r.reading_timestamp, 'UTC'), -count(*), -sum(r.kwh_amount)
       ${own} ${ofWallet ? `and r.user_id ${owners} and r.meter_id ${owned}` : ''} group by 1, 2, 3, 4`,
    `select ${changedDay} ${own} ${ofWallet ? 'and r.wallet_address = $4' : ''} group by 1, 2, 3, 4`,
    ...(changed
      ? [
          `select ${changedDay} from (${notes}) c cross join lateral (
             select m.meter_id, m.user_id, m.wallet_address, m.reading_timestamp, m.kwh_amount from meter_readings m
              where m.meter_id = c.meter_id and not m.minted
                and m.reading_timestamp >= c.day::timestamp at time zone 'UTC'
                and m.reading_timestamp < (c.day + 1)::timestamp at time zone 'UTC'
             offset 0) r
            ${ofWallet ? `where r.wallet_address = $4 or (r.wallet_address is null and r.user_id ${owners})` : ''}
            group by 1, 2, 3, 4`,
        ]
      : []),
  ];
}

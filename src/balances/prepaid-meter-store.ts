import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { BalancePoint, Drift, MeterTotals, PrepaidMeter } from './prepaid-meter.js';

export interface MeterFilter {
  /** This one only. */
  readonly meter_id: string | null;
  readonly search: string | null;
  readonly isLow: boolean;
  readonly lowUnits: number;
}

/** So many entries a curve is made of at most, and so many points it has then. */
const entriesMax = 20_000;
const pointsMax = 400;

const matching = `not d.mock and (u.id is not null or d.type = 'meter')
   and ($1::text is null or position(lower($1) in lower(d.meter_id || ' ' || coalesce(d.name, ''))) > 0 or d.drn = $1)
   and (not $2::boolean or u.balance < $3::numeric) and ($4::text is null or d.meter_id = $4 or d.drn = $4)`;
const meters = `devices d left join accounts u on u.meter_id = d.meter_id and u.kind = 'units' and u.currency = ''`;

export async function selectMeters(
  session: Session,
  { limit, offset, sort, order }: PageRequest<'meter_id' | 'balance' | 'updated_at'>,
  { search, isLow, lowUnits, meter_id }: MeterFilter,
): Promise<{ data: PrepaidMeter[]; total: number }> {
  const column = sort === 'meter_id' ? 'd.meter_id' : `u.${sort}`;
  const { rows } = await session.query<MeterRow>({
    text: `with page as (
             select d.meter_id, d.name, d.drn, d.tariff_plan, d.connected_instance is not null as online, d.last_seen_at,
                    d.last_status, d.last_status_at, u.balance, case when u.id is not null then u.updated_at end as updated_at,
                    row_number() over (order by ${column} ${order} nulls last, d.meter_id) as place
               from ${meters} where ${matching}
              order by ${column} ${order} nulls last, d.meter_id limit $5 offset $6)
           select p.meter_id, p.name, p.drn, p.tariff_plan, p.online, p.last_seen_at, p.balance::float8 as balance,
                  p.updated_at, coalesce(p.balance < $3::numeric, false) as low,
                  own.balance::float8 as meter_balance, own.at as meter_balance_at,
                  case when own.balance is not null then case when own.balance > 0 then 'on' else 'off' end end as relay,
                  p.last_status->>'status' as status, p.last_status->>'message' as status_message,
                  p.last_status_at as status_at,
                  case when jsonb_typeof(p.last_status->'wifi_rssi') = 'number'
                       then (p.last_status->>'wifi_rssi')::float8 end as wifi_rssi,
                  case when o.id is null then case when b.confirmed_at is not null then 'confirmed' end
                       when o.sent_at is null then 'waiting' else 'sent' end as command,
                  coalesce(o.sent_at, o.created_at, b.confirmed_at) as command_at, coalesce(o.attempts, 0) as command_attempts,
                  exists (select from balance_drifts f where f.meter_id = p.meter_id and f.resolved_at is null) as drifting
             from page p
             left join balance_commands b on b.meter_id = p.meter_id
             left join outbox o on o.kind = 'balance' and o.subject = p.meter_id and o.done_at is null
             left join lateral (
               select said.balance, said.at from (
                 select (p.last_status->>'balance')::numeric, p.last_status_at
                  where jsonb_typeof(p.last_status->'balance') = 'number'
                 union all select b.confirmed_balance, b.confirmed_at where b.confirmed_at is not null
                 union all (select c.remaining, c.received_at from consumption_reports c
                             where c.meter_id = p.meter_id order by c.received_at desc limit 1)
               ) said (balance, at) order by said.at desc nulls last limit 1) own on true
            order by p.place`,
    values: [search, isLow, lowUnits, meter_id, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from ${meters} where ${matching}`,
    values: [search, isLow, lowUnits, meter_id],
  });
  return { data: rows.map(meterForPeople), total: counted.rows[0]?.total ?? 0 };
}

/**
 * Backwards from the balance of now, by the times at which things happened: what a meter buffered for days stands
 * where it belongs. It begins with what was held at the begin of the span; of each of its 400 parts the last point remains.
 */
export async function selectHistory(
  session: Session,
  meter_id: string,
  hours: number,
): Promise<BalancePoint[]> {
  const { rows } = await session.query<PointRow>({
    name: 'balance-history',
    text: `with newest as (
             select e.id, e.amount, e.occurred_at, a.balance
               from accounts a join ledger_entries e on e.account_id = a.id
              where a.meter_id = $1 and a.kind = 'units' order by e.id desc limit ${entriesMax}),
           after as (
             select n.occurred_at as at,
                    n.balance - coalesce(sum(n.amount) over (order by n.occurred_at desc, n.id desc
                      rows between unbounded preceding and 1 preceding), 0) as balance, n.id
               from newest n
             union all
             select now() - $2::float8 * interval '1 hour',
                    n.balance - coalesce(sum(n.amount) filter (where n.occurred_at > now() - $2::float8 * interval '1 hour'), 0),
                    0
               from newest n group by n.balance),
           thinned as (
             select distinct on (span) a.at, a.balance
               from (select f.*, width_bucket(extract(epoch from f.at), extract(epoch from now()) - $2::float8 * 3600,
                                              extract(epoch from now()), ${pointsMax}) as span
                       from after f where f.at >= now() - $2::float8 * interval '1 hour') a
              order by span, a.at desc, a.id desc)
           select at, balance::float8 as balance from thinned order by at`,
    values: [meter_id, hours],
  });
  return rows.map(({ at, balance }) => ({ at: at.toISOString(), balance }));
}

export async function selectDrifts(
  session: Session,
  { limit, offset, order }: PageRequest<'last_at'>,
  { meter_id, isOpen }: { readonly meter_id: string | null; readonly isOpen: boolean | null },
): Promise<{ data: Drift[]; total: number }> {
  const where = `($1::text is null or meter_id = $1) and ($2::boolean is null or (resolved_at is null) = $2)`;
  const { rows } = await session.query<DriftRow>({
    text: `select id::float8 as id, meter_id, ledger_balance::float8 as ledger_balance,
                  meter_balance::float8 as meter_balance, occurrences, first_at, last_at, resolved_at
             from balance_drifts where ${where} order by last_at ${order}, id ${order} limit $3 offset $4`,
    values: [meter_id, isOpen, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from balance_drifts where ${where}`,
    values: [meter_id, isOpen],
  });
  return { data: rows.map(driftForPeople), total: counted.rows[0]?.total ?? 0 };
}

export async function selectTotals(session: Session, lowUnits: number): Promise<MeterTotals> {
  const { rows } = await session.query<MeterTotals>({
    name: 'prepaid-totals',
    text: `select count(*)::int as prepaid, (count(*) filter (where a.balance < $1::numeric))::int as low,
                  (select count(*)::int from outbox where kind = 'balance' and done_at is null) as commands_open,
                  (select count(*)::int from balance_drifts where resolved_at is null) as drifts_open
             from accounts a join devices d using (meter_id) where a.kind = 'units'`,
    values: [lowUnits],
  });
  return rows[0] ?? { prepaid: 0, low: 0, commands_open: 0, drifts_open: 0 };
}

type MeterTimes = 'last_seen_at' | 'updated_at' | 'meter_balance_at' | 'status_at' | 'command_at';
type MeterRow = Omit<PrepaidMeter, MeterTimes> & Readonly<Record<MeterTimes, Date | null>>;

interface PointRow {
  readonly at: Date;
  readonly balance: number;
}

interface DriftRow extends Omit<Drift, 'first_at' | 'last_at' | 'resolved_at'> {
  readonly first_at: Date;
  readonly last_at: Date;
  readonly resolved_at: Date | null;
}

function meterForPeople(row: MeterRow): PrepaidMeter {
  return {
    ...row,
    last_seen_at: row.last_seen_at?.toISOString() ?? null,
    updated_at: row.updated_at?.toISOString() ?? null,
    meter_balance_at: row.meter_balance_at?.toISOString() ?? null,
    status_at: row.status_at?.toISOString() ?? null,
    command_at: row.command_at?.toISOString() ?? null,
  };
}

function driftForPeople(row: DriftRow): Drift {
  return {
    ...row,
    first_at: row.first_at.toISOString(),
    last_at: row.last_at.toISOString(),
    resolved_at: row.resolved_at?.toISOString() ?? null,
  };
}

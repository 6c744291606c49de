import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { Span } from '../statistics/span.js';
import type { MintState } from './mint-request.js';
import { findWritten, sumsOf, sumValues } from './unminted-sums.js';

/** Why a reading cannot be minted: a mock device's; nobody's wallet is known. */
export type Obstacle = 'mock' | 'no_wallet';

/** A reading that was not minted. */
export interface UnmintedReading {
  readonly reading_id: number;
  readonly meter_id: string;
  readonly user_id: string | null;
  /** The reading's own, else its owner's of now. */
  readonly wallet_address: string | null;
  /** kWh. */
  readonly kwh_amount: number;
  readonly reading_timestamp: Date;
  readonly submitted_at: Date;
  readonly mintable: boolean;
  /** Null when it is mintable. */
  readonly reason: Obstacle | null;
  /** Of its request; null: nobody has asked for it. */
  readonly request_state: MintState | null;
}

/** What a wallet has to come. */
export interface UnmintedWallet {
  /** Null: of readings that cannot be minted. */
  readonly wallet_address: string | null;
  readonly readings: number;
  readonly meters: number;
  readonly kwh: number;
  /** Days (UTC), as 2026-11-20. */
  readonly first_day: string;
  readonly last_day: string;
}

export interface Amount {
  readonly readings: number;
  /** kWh. */
  readonly kwh: number;
}

export interface UnmintedFilter {
  readonly wallet: string | null;
  readonly meter: string | null;
  /** Null: also those that cannot be minted. */
  readonly mintable: boolean | null;
}

const reading = `select r.id, r.meter_id, r.user_id, coalesce(r.wallet_address, u.wallet_address) as wallet_address,
    r.kwh_amount, r.reading_timestamp, r.submitted_at,
    case when k.meter_id is not null then 'mock' when coalesce(r.wallet_address, u.wallet_address) is null then 'no_wallet' end
      as reason
  from meter_readings r left join users u on u.id = r.user_id left join mock_meters k on k.meter_id = r.meter_id
 where not r.minted and r.reading_timestamp >= $1 and r.reading_timestamp < $2
   and ($3::text is null or r.meter_id = $3)`;

/** $1 and $2 the span, $3 the meter, $4 the wallet: by the meters that its owners have or had, or by its own index. */
const unminted = {
  ofAll: `${reading} and $4::text is null`,
  ofWallet: `${reading} and r.wallet_address is null and u.wallet_address = $4
       and r.meter_id = any (array(select o.meter_id from meter_owners o join users w on w.id = o.user_id
                                    where w.wallet_address = $4))
     union all ${reading} and r.wallet_address = $4`,
};

export async function selectUnminted(
  session: Session,
  span: Span,
  { sort, order, limit, offset }: PageRequest<keyof typeof columns>,
  filter: UnmintedFilter,
): Promise<UnmintedReading[]> {
  const { rows } = await session.query<UnmintedReading>({
    text: `select n.id::float8 as reading_id, n.meter_id, n.user_id, n.wallet_address, n.kwh_amount::float8 as kwh_amount,
                  n.reading_timestamp, n.submitted_at, n.reason is null as mintable, n.reason, m.state as request_state
             from (select * from (${sourceOf(filter)}) n where ${wanted}
                    order by ${columns[sort]} ${order}, n.id ${order} limit $6 offset $7) n
             left join mint_requests m on m.meter_id = n.meter_id and m.reading_timestamp = n.reading_timestamp
            order by ${columns[sort]} ${order}, n.id ${order}`,
    values: [...valuesOf(span, filter), limit, offset],
  });
  return rows;
}

/** By wallet, and what all comes to. `mintable` counts for the wallets only. */
export async function selectUnmintedWallets(
  session: Session,
  span: Span,
  { sort, order, limit, offset }: PageRequest<keyof typeof walletColumns>,
  filter: UnmintedFilter,
): Promise<{ data: UnmintedWallet[]; total: number; sums: UnmintedSum[] }> {
  const written = await findWritten(session, span);
  const { rows } = await session.query<{
    total: number;
    sums: UnmintedSum[] | null;
    data: UnmintedWallet[] | null;
  }>({
    text: `with sums as materialized (${sumsOf(span, filter, written)}), wallets as materialized (
             select n.wallet_address, sum(n.readings) as readings, count(distinct n.meter_id) as meters, sum(n.kwh) as kwh,
                    to_char(min(n.day) at time zone 'UTC', 'YYYY-MM-DD') as first_day,
                    to_char(max(n.day) at time zone 'UTC', 'YYYY-MM-DD') as last_day
               from sums n where ($5::boolean is null or (n.reason is null) = $5) group by 1
           )
           select (select count(*)::float8 from wallets) as total,
                  (select json_agg(t) from (select n.reason, sum(n.readings) as readings, sum(n.kwh) as kwh
                                              from sums n group by 1) t) as sums,
                  (select json_agg(w) from (select * from wallets n order by n.${walletColumns[sort]} ${order}, 1
                                             limit $6 offset $7) w) as data`,
    values: [...sumValues(written, filter), filter.mintable, limit, offset],
  });
  const [row] = rows;
  return { data: row?.data ?? [], total: row?.total ?? 0, sums: row?.sums ?? [] };
}

/** What there is of those that can be minted (null), or cannot for this reason. */
export interface UnmintedSum extends Amount {
  readonly reason: Obstacle | null;
}

/** What a day (UTC) has, by whether and why not it can be minted; newest first. */
export interface UnmintedDay extends UnmintedSum {
  /** Unix ms of its beginning. */
  readonly day: number;
}

/** Of the filter but for `mintable`. */
export async function selectUnmintedDays(
  session: Session,
  span: Span,
  filter: UnmintedFilter,
): Promise<UnmintedDay[]> {
  const written = await findWritten(session, span);
  const { rows } = await session.query<UnmintedDay>({
    text: `select extract(epoch from n.day)::float8 * 1000 as day, n.reason, sum(n.readings)::float8 as readings,
                  sum(n.kwh)::float8 as kwh
             from (${sumsOf(span, filter, written)}) n group by n.day, n.reason order by n.day desc`,
    values: sumValues(written, filter),
  });
  return rows;
}

const wanted = '($5::boolean is null or (n.reason is null) = $5)';

/** What a list can be sorted by. */
const columns = {
  reading_timestamp: 'n.reading_timestamp',
  submitted_at: 'n.submitted_at',
  kwh_amount: 'n.kwh_amount',
  meter_id: 'n.meter_id',
} as const;
const walletColumns = { kwh: 'kwh', readings: 'readings', wallet_address: 'wallet_address' } as const;

function sourceOf({ wallet }: UnmintedFilter): string {
  return wallet === null ? unminted.ofAll : unminted.ofWallet;
}

function valuesOf({ start, end }: Span, { meter, wallet, mintable }: UnmintedFilter): unknown[] {
  return [new Date(start).toISOString(), new Date(end).toISOString(), meter, wallet, mintable];
}

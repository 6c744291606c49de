import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { Span } from '../statistics/span.js';
import type { MintState } from './mint-request.js';

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
  readonly first_at: Date;
  readonly last_at: Date;
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

export interface UnmintedTotals {
  readonly mintable: Amount;
  readonly mock: Amount;
  readonly no_wallet: Amount;
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

/** By wallet. `mintable` counts here, too. */
export async function selectUnmintedWallets(
  session: Session,
  span: Span,
  { sort, order, limit, offset }: PageRequest<keyof typeof walletColumns>,
  filter: UnmintedFilter,
): Promise<{ data: UnmintedWallet[]; total: number }> {
  const { rows } = await session.query<UnmintedWallet & { total: number }>({
    text: `select n.wallet_address, count(*)::float8 as readings, count(distinct n.meter_id)::float8 as meters,
                  sum(n.kwh_amount)::float8 as kwh, min(n.reading_timestamp) as first_at, max(n.reading_timestamp) as last_at
             from (${sourceOf(filter)}) n where ${wanted} group by 1
            order by ${walletColumns[sort]} ${order}, 1 limit $6 offset $7`,
    values: [...valuesOf(span, filter), limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select (count(distinct n.wallet_address) + max((n.wallet_address is null)::int))::float8 as total
             from (${sourceOf(filter)}) n where ${wanted}`,
    values: valuesOf(span, filter),
  });
  return { data: rows, total: counted.rows[0]?.total ?? 0 };
}

/** Of the filter but for `mintable`. */
export async function selectTotals(
  session: Session,
  span: Span,
  filter: UnmintedFilter,
): Promise<UnmintedTotals> {
  const { rows } = await session.query<Amount & { reason: Obstacle | null }>({
    text: `select n.reason, count(*)::float8 as readings, sum(n.kwh_amount)::float8 as kwh
             from (${sourceOf(filter)}) n group by 1`,
    values: valuesOf(span, filter).slice(0, 4),
  });
  const of = (reason: Obstacle | null): Amount => {
    const { readings, kwh } = rows.find((row) => row.reason === reason) ?? { readings: 0, kwh: 0 };
    return { readings, kwh };
  };
  return { mintable: of(null), mock: of('mock'), no_wallet: of('no_wallet') };
}

const wanted = '($5::boolean is null or (n.reason is null) = $5)';

/** What a list can be sorted by. */
const columns = {
  reading_timestamp: 'n.reading_timestamp',
  submitted_at: 'n.submitted_at',
  kwh_amount: 'n.kwh_amount',
  meter_id: 'n.meter_id',
} as const;
const walletColumns = { kwh: 'kwh', readings: 'readings', wallet_address: 'n.wallet_address' } as const;

function sourceOf({ wallet }: UnmintedFilter): string {
  return wallet === null ? unminted.ofAll : unminted.ofWallet;
}

function valuesOf({ start, end }: Span, { meter, wallet, mintable }: UnmintedFilter): unknown[] {
  return [new Date(start).toISOString(), new Date(end).toISOString(), meter, wallet, mintable];
}

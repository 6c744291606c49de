import type { Session } from '../database/database.js';
import { noTariff } from './accounts.js';
import { parseAmount } from './money.js';
import type { Block, Tariff } from './tariff.js';

/** A version of a plan as it is stored; blocks as [{"from": 0, "price": 25}], both with at most 4 decimals. */
export interface TariffRow {
  readonly id: string;
  readonly plan: string;
  readonly currency: string;
  readonly time_zone: string;
  readonly valid_from: Date;
  readonly payment_fee: string;
  readonly monthly_fee: string;
  readonly arrears_share: string;
  readonly blocks: readonly { readonly from: number; readonly price: number }[];
  readonly created_by: string;
  readonly created_at: Date;
}

export const tariffColumns = `id, plan, currency, time_zone, valid_from, payment_fee::text, monthly_fee::text,
  arrears_share::text, blocks, created_by, created_at`;

/** Which meter, and when it was paid for; null: now. */
export interface Occasion {
  readonly meterId: string;
  readonly paidAt: Date | null;
}

/** What a sale goes by. */
export interface Terms {
  readonly tariff: Tariff;
  /** First day of the month, in the tariff's time zone: 2026-11-01. */
  readonly month: string;
  /** Ten-thousandths of a unit that the meter bought in it. */
  readonly unitsBefore: bigint;
  readonly monthlyFeeCharged: boolean;
  /** Ids of the accounts that are nobody's. */
  readonly accounts: Readonly<Record<'issued' | 'provider' | 'suspense' | 'revenue' | 'fees', string>>;
}

/** No payment is older, or of the future: a provider's clock does not choose the tariff. */
export const sinceMaxDays = 7;

/**
 * For each occasion, the version of the meter's plan that is valid at the time of payment, clipped to the last seven
 * days, and what the meter bought in that month. A plan's first version also covers what lies before it; a plan without
 * any version is the default plan. Read it when the meters are locked: nobody else sells to them meanwhile.
 * @param now instead of the database's clock
 * @returns in the order of the occasions
 * @throws DomainError CONFIGURATION when there is no tariff
 */
export async function readTerms(
  tx: Session,
  occasions: readonly Occasion[],
  now: Date | null = null,
): Promise<Terms[]> {
  const { rows } = await tx.query<TermsRow>({
    name: 'read-terms',
    text: `with o as (
             select u.n, u.meter_id,
                    greatest(least(coalesce(u.paid_at, c.now), c.now), c.now - make_interval(days => ${sinceMaxDays})) as at
               from unnest($1::text[], $2::timestamptz[]) with ordinality as u (meter_id, paid_at, n),
                    (select coalesce($3::timestamptz, now()) as now) c
           )
           select t.id, t.plan, t.currency, t.time_zone, t.valid_from, t.payment_fee::text, t.monthly_fee::text,
                  t.arrears_share::text, t.blocks, t.created_by, t.created_at, m.month::text,
                  coalesce(b.units, 0)::text as units_before, coalesce(b.monthly_fee, 0) > 0 as monthly_fee_charged,
                  (select jsonb_object_agg(a.kind, a.id::text) from accounts a
                    where a.meter_id is null and a.currency in ('', t.currency)) as accounts
             from o
             left join devices d on d.meter_id = o.meter_id
            cross join lateral (
              select t.* from tariffs t where t.plan in ('default', d.tariff_plan)
               order by (t.plan = d.tariff_plan) desc nulls last, (t.valid_from <= o.at) desc,
                        case when t.valid_from <= o.at then t.valid_from end desc, t.valid_from
               limit 1) t
            cross join lateral (select date_trunc('month', o.at at time zone t.time_zone)::date as month) m
             left join lateral (
              select sum(s.units) as units, sum(s.monthly_fee) as monthly_fee
                from sales s where s.meter_id = o.meter_id and s.month = m.month) b on true
            order by o.n`,
    values: [
      occasions.map(({ meterId }) => meterId),
      occasions.map(({ paidAt }) => paidAt?.toISOString() ?? null),
      now?.toISOString() ?? null,
    ],
  });
  if (rows.length < occasions.length) throw noTariff();
  return rows.map((row) => ({
    tariff: asTariff(row),
    month: row.month,
    unitsBefore: asTenThousandths(row.units_before),
    monthlyFeeCharged: row.monthly_fee_charged,
    accounts: row.accounts,
  }));
}

interface TermsRow extends TariffRow {
  readonly month: string;
  readonly units_before: string;
  readonly monthly_fee_charged: boolean;
  readonly accounts: Terms['accounts'];
}

export interface DefaultTariff {
  /** Text of at most 4 decimals, above 0. */
  readonly pricePerUnit: string;
  readonly currency: string;
  readonly timeZone: string;
}

/**
 * The flat default plan, once: later starts, other instances and other settings change nothing of it.
 * @returns whether it was made now
 */
export async function ensureDefaultTariff(session: Session, preset: DefaultTariff): Promise<boolean> {
  const { rowCount } = await session.query({
    text: `insert into tariffs (plan, currency, time_zone, valid_from, blocks, created_by)
           select 'default', $1, $2, '2000-01-01T00:00:00Z', $3::jsonb, 'start'
            where not exists (select from tariffs where plan = 'default')
           on conflict on constraint tariffs_version_key do nothing`,
    values: [
      preset.currency,
      preset.timeZone,
      JSON.stringify([{ from: 0, price: Number(preset.pricePerUnit) }]),
    ],
  });
  return rowCount === 1;
}

export function asTariff(row: TariffRow): Tariff {
  return {
    id: row.id,
    plan: row.plan,
    currency: row.currency,
    timeZone: row.time_zone,
    validFrom: row.valid_from,
    paymentFee: parseAmount(row.payment_fee),
    monthlyFee: parseAmount(row.monthly_fee),
    arrearsShare: asTenThousandths(row.arrears_share),
    blocks: row.blocks.map(asBlock),
  };
}

function asBlock({ from, price }: { from: number; price: number }): Block {
  return { from: asTenThousandths(String(from)), price: asTenThousandths(String(price)) };
}

function asTenThousandths(decimal: string): bigint {
  return parseAmount(decimal) / 10_000n;
}

export interface NewTariffRow {
  readonly plan: string;
  readonly currency: string;
  readonly time_zone: string;
  /** RFC 3339 */
  readonly valid_from: string;
  /** Decimal texts. */
  readonly payment_fee: string;
  readonly monthly_fee: string;
  readonly arrears_share: string;
  readonly blocks: TariffRow['blocks'];
}

type Shown = TariffRow & { readonly current: boolean };

const shown = `${tariffColumns}, id is not distinct from (
  select c.id from tariffs c where c.plan = tariffs.plan and c.valid_from <= now() order by c.valid_from desc limit 1
) as current`;

/** Undefined: the plan has a version from this time. */
export async function insertTariff(
  tx: Session,
  row: NewTariffRow,
  caller: string,
): Promise<Shown | undefined> {
  const { rows } = await tx.query<{ id: string }>({
    text: `insert into tariffs (plan, currency, time_zone, valid_from, payment_fee, monthly_fee, arrears_share, blocks,
             created_by)
           values ($1, $2, $3, $4::timestamptz, $5::numeric, $6::numeric, $7::numeric, $8::jsonb, $9)
           on conflict on constraint tariffs_version_key do nothing
           returning id`,
    values: [
      row.plan,
      row.currency,
      row.time_zone,
      row.valid_from,
      row.payment_fee,
      row.monthly_fee,
      row.arrears_share,
      JSON.stringify(row.blocks),
      caller,
    ],
  });
  const id = rows[0]?.id;
  if (id === undefined) return undefined;
  const inserted = await tx.query<Shown>({
    text: `select ${shown} from tariffs where id = $1::bigint`,
    values: [id],
  });
  return inserted.rows[0];
}

/** By plan, the newest version first; null: of all plans. */
export async function listTariffRows(session: Session, plan: string | null): Promise<Shown[]> {
  const { rows } = await session.query<Shown>({
    text: `select ${shown} from tariffs where $1::text is null or plan = $1 order by plan, valid_from desc`,
    values: [plan],
  });
  return rows;
}

/**
 * What a new version has unless it says otherwise; undefined before the first. Nobody else adds one until the end of the
 * transaction, so that there is one first version, and one currency.
 */
export async function lockPresets(tx: Session): Promise<{ currency: string; timeZone: string } | undefined> {
  await tx.query({ text: 'lock table tariffs in share row exclusive mode' });
  const { rows } = await tx.query<{ currency: string; timeZone: string }>({
    text: `select currency, time_zone as "timeZone" from tariffs
            where plan = 'default' order by valid_from desc limit 1`,
  });
  return rows[0];
}

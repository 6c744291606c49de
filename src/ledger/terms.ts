import type { Session } from '../database/database.js';
import { noTariff } from './accounts.js';
import { parseAmount } from './money.js';
import type { TariffRow } from './tariff-store.js';
import type { Block, Tariff } from './tariff.js';

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
const sinceMaxDays = 7;

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

function asTariff(row: TariffRow): Tariff {
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

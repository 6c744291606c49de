import type { Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import { moneyNumber, parseAmount, toCents, unitsNumber } from './money.js';

/** What a meter holds ([H-14]). Units with at most 4 decimals, money with 2. */
export interface MeterBalance {
  readonly meter_id: string;
  /** Units; below zero when it used energy while it was away, or when a payment was taken back. */
  readonly balance: number;
  readonly updated_at: string;
  readonly currency: string | null;
  /** The remainder that the next payment uses, cut to the cent. */
  readonly credit: number;
  /** What the customer owes. */
  readonly arrears: number;
  readonly tariff_plan: string;
  readonly user_id: string | null;
}

/**
 * @param meterNumber meter_id or drn, of revoked meters and mocks too
 * @throws DomainError METER_UNKNOWN
 */
export async function balanceOf(session: Session, meterNumber: string): Promise<MeterBalance> {
  const { rows } = await session.query<BalanceRow>({
    name: 'balance-of',
    text: `${select} where (d.meter_id = $1 or d.drn = $1) order by d.meter_id = $1 desc limit 1`,
    values: [meterNumber.replaceAll('\0', '\uFFFD')],
  });
  const row = rows[0];
  if (row === undefined) throw new DomainError('METER_UNKNOWN', 'No meter has this number.');
  return asBalance(row);
}

interface BalanceRow {
  readonly meter_id: string;
  readonly balance: string | null;
  readonly updated_at: Date;
  readonly currency: string | null;
  readonly credit: string;
  readonly arrears: string;
  readonly tariff_plan: string;
  readonly user_id: string | null;
}

// A meter without an account holds nothing since it was registered.
const select = `
  select d.meter_id, units.balance::text, coalesce(units.updated_at, d.created_at) as updated_at, money.currency,
         coalesce(money.credit, 0)::text as credit, coalesce(money.arrears, 0)::text as arrears, d.tariff_plan,
         d.user_id::text
    from devices d
    left join accounts units on units.meter_id = d.meter_id and units.kind = 'units'
    left join lateral (
      select max(a.currency) as currency, sum(a.balance) filter (where a.kind = 'credit') as credit,
             -sum(a.balance) filter (where a.kind = 'arrears') as arrears
        from accounts a where a.meter_id = d.meter_id and a.kind in ('credit', 'arrears')) money on true`;

function asBalance(row: BalanceRow): MeterBalance {
  return {
    meter_id: row.meter_id,
    balance: unitsNumber(parseAmount(row.balance ?? '0')),
    updated_at: row.updated_at.toISOString(),
    currency: row.currency,
    credit: moneyNumber(toCents(parseAmount(row.credit))),
    arrears: moneyNumber(parseAmount(row.arrears)),
    tariff_plan: row.tariff_plan,
    user_id: row.user_id,
  };
}

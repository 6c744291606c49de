import type { Session } from '../database/database.js';
import type { TransactionKind } from './entries.js';

/** The ids of a meter's accounts; null: it has none of this kind yet. */
export interface StatementAccounts {
  readonly units: string | null;
  readonly credit: string | null;
  readonly arrears: string | null;
}

/** Undefined: neither registered nor ever in the ledger. History outlives the registration. */
export async function findAccounts(
  session: Session,
  meterNumber: string,
): Promise<StatementAccounts | undefined> {
  const { rows } = await session.query<StatementAccounts & { known: boolean }>({
    name: 'statement-accounts',
    text: `with meter as (
             select coalesce((select meter_id from devices where meter_id = $1 or drn = $1
                               order by meter_id = $1 desc limit 1), $1) as meter_id
           )
           select max(a.id) filter (where a.kind = 'units') as units,
                  max(a.id) filter (where a.kind = 'credit') as credit,
                  max(a.id) filter (where a.kind = 'arrears') as arrears,
                  count(a.id) > 0 or exists (select from devices d join meter using (meter_id)) as known
             from meter left join accounts a on a.meter_id = meter.meter_id`,
    values: [meterNumber],
  });
  const row = rows[0];
  return row?.known === true ? row : undefined;
}

export interface StatementFilter {
  /** Unix ms */
  readonly start: number | null;
  readonly end: number | null;
  readonly kind: TransactionKind | null;
}

/** Amounts as texts. */
export interface LineRow {
  readonly id: string;
  readonly kind: TransactionKind;
  readonly posted_at: Date;
  readonly occurred_at: Date;
  readonly units: string;
  readonly balance: string;
  readonly receipt: string | null;
  readonly memo: string | null;
  readonly currency: string | null;
  readonly paid: string;
  readonly energy_cost: string;
  readonly payment_fee: string;
  readonly charged: string;
  readonly arrears_paid: string;
  readonly blocks: readonly { readonly price: number; readonly units: number }[];
  readonly tariff_plan: string | null;
  readonly credit: string;
  readonly arrears: string;
}

export async function listLines(
  session: Session,
  accounts: StatementAccounts,
  filter: StatementFilter,
  page: { readonly limit: number; readonly offset: number; readonly order: 'asc' | 'desc' },
): Promise<LineRow[]> {
  const { rows } = await session.query<LineRow>({
    text: `with line as (
             select e.id, e.transaction_id, e.account_id, e.amount, e.balance_after, e.occurred_at,
                    t.kind, t.posted_at, t.memo, t.payment_id
               from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
              where ${matching} order by e.id ${page.order} limit $7 offset $8
           )
           select line.id, line.kind, line.posted_at, line.occurred_at, line.memo,
                  case when line.account_id = $1::bigint then line.amount else 0 end::text as units,
                  coalesce(case when line.account_id = $1::bigint then line.balance_after
                                else ${held('$1')} end, 0)::text as balance,
                  p.receipt,
                  case when line.kind not in ('consumption', 'token') then coalesce(p.currency, money.currency)
                  end as currency,
                  coalesce(case when line.kind = 'reversal' then -p.amount else p.amount end, 0)::text as paid,
                  coalesce(s.energy_cost, 0)::text as energy_cost,
                  coalesce(s.payment_fee, 0)::text as payment_fee,
                  coalesce(s.monthly_fee, case when line.kind = 'charge' then -line.amount end, 0)::text as charged,
                  coalesce(s.arrears_paid, 0)::text as arrears_paid,
                  coalesce(s.blocks, '[]') as blocks, tariff.plan as tariff_plan,
                  case when line.kind not in ('consumption', 'token') then coalesce(${held('$2')}, 0) else 0 end::text as credit,
                  case when line.kind not in ('consumption', 'token') then coalesce(-${held('$3')}, 0) else 0 end::text as arrears
             from line
             left join payments p on p.id = line.payment_id
             left join sales s on s.transaction_id = line.transaction_id
             left join tariffs tariff on tariff.id = s.tariff_id
             left join accounts money on money.id = $2::bigint
            order by line.id ${page.order}`,
    values: [...values(accounts, filter), page.limit, page.offset],
  });
  return rows;
}

export async function countLines(
  session: Session,
  accounts: StatementAccounts,
  filter: StatementFilter,
): Promise<number> {
  const { rows } = await session.query<{ total: number }>({
    text: `select count(*)::int as total
             from ledger_entries e join ledger_transactions t on t.id = e.transaction_id where ${matching}`,
    values: values(accounts, filter),
  });
  return rows[0]?.total ?? 0;
}

/**
 * A line is an entry of energy, or else the first entry of a transaction that moved only money of the meter. A meter
 * has few of the latter: reports of consumption, which are many, have no money.
 */
const matching = `(
    e.account_id = $1::bigint
    or (e.account_id in ($2::bigint, $3::bigint) and t.kind not in ('consumption', 'token') and not exists (
          select from ledger_entries o
           where o.transaction_id = e.transaction_id
             and (o.account_id = $1::bigint or (o.account_id in ($2::bigint, $3::bigint) and o.id < e.id))))
  )
  and ($4::timestamptz is null or t.posted_at >= $4::timestamptz)
  and ($5::timestamptz is null or t.posted_at < $5::timestamptz)
  and ($6::text is null or t.kind = $6::text)`;

/** What an account held when the line's transaction was entered. */
function held(account: string): string {
  return `(select h.balance_after from ledger_entries h
            where h.account_id = ${account}::bigint
              and h.id <= (select max(o.id) from ledger_entries o where o.transaction_id = line.transaction_id)
            order by h.id desc limit 1)`;
}

function values(accounts: StatementAccounts, { start, end, kind }: StatementFilter): unknown[] {
  return [accounts.units, accounts.credit, accounts.arrears, time(start), time(end), kind];
}

function time(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

import type { Session } from '../database/database.js';

/** One place where the books are not what they must be ([P-2]). */
export interface Discrepancy {
  /**
   * chain: an entry's balance_after does not follow from the one before; cache: an account's balance is not that of its
   * last entry; sum: a transaction is not zero; payment: its money is not, or not once, in the books; sale: its units
   * are not what was entered.
   */
  readonly kind: 'chain' | 'cache' | 'sum' | 'payment' | 'sale';
  /** The id of the entry, account, transaction, payment or sale. */
  readonly id: string;
  readonly meter_id: string | null;
  /** Decimal texts. */
  readonly expected: string;
  readonly found: string;
}

/** The highest ids now. */
export interface Horizon {
  readonly entries: string;
  readonly accounts: string;
  readonly payments: string;
}

export async function readHorizon(session: Session): Promise<Horizon> {
  const { rows } = await session.query<Horizon>({
    text: `select coalesce((select max(id) from ledger_entries), 0)::text as entries,
                  coalesce((select max(id) from accounts), 0)::text as accounts,
                  coalesce((select max(id) from payments), 0)::text as payments`,
  });
  return rows[0] ?? { entries: '0', accounts: '0', payments: '0' };
}

/**
 * Entries with after < id <= upTo. The chain of an account from its first entry on makes its last balance_after the sum
 * of all its entries.
 */
export async function checkEntries(session: Session, after: bigint, upTo: bigint): Promise<Discrepancy[]> {
  const { rows } = await session.query<Discrepancy>({
    name: 'audit-entries',
    text: `with part as materialized (
             select e.id, e.transaction_id, e.account_id, e.amount, e.balance_after, a.meter_id
               from ledger_entries e left join accounts a on a.id = e.account_id
              where e.id > $1::bigint and e.id <= $2::bigint
           ), chained as (
             select part.id, part.meter_id, part.balance_after,
                    part.amount + coalesce(
                      lag(part.balance_after) over (partition by part.account_id order by part.id),
                      (select before.balance_after from ledger_entries before
                        where before.account_id = part.account_id and before.id <= $1::bigint
                        order by before.id desc limit 1),
                      0) as expected
               from part where part.meter_id is not null
           )
           select 'chain' as kind, id::text, meter_id, expected::text, coalesce(balance_after::text, 'none') as found
             from chained where balance_after is distinct from expected
           union all
           select 'sum', e.transaction_id::text, null, '0', sum(e.amount)::text
             from (select distinct transaction_id from part) t
             join ledger_entries e on e.transaction_id = t.transaction_id
             left join accounts a on a.id = e.account_id
            group by e.transaction_id, a.commodity, a.currency having sum(e.amount) <> 0`,
    values: [after.toString(), upTo.toString()],
  });
  return rows;
}

/** Accounts with after < id <= upTo, whenever they last moved. */
export async function checkAccounts(session: Session, after: bigint, upTo: bigint): Promise<Discrepancy[]> {
  const { rows } = await session.query<Discrepancy>({
    name: 'audit-accounts',
    text: `select 'cache' as kind, a.id::text, a.meter_id, coalesce(last.balance_after, 0)::text as expected,
                  a.balance::text as found
             from accounts a
             left join lateral (
               select e.balance_after from ledger_entries e where e.account_id = a.id order by e.id desc limit 1
             ) last on true
            where a.id > $1::bigint and a.id <= $2::bigint
              and a.balance <> case when a.meter_id is null then 0 else coalesce(last.balance_after, 0) end`,
    values: [after.toString(), upTo.toString()],
  });
  return rows;
}

/**
 * Payments with after < id <= upTo: each moved its money once, out of the provider's account or back into it. The kind
 * of an account is asked for last: a plan that began with all entries of the provider took seconds.
 */
export async function checkPayments(session: Session, after: bigint, upTo: bigint): Promise<Discrepancy[]> {
  const { rows } = await session.query<Discrepancy>({
    name: 'audit-payments',
    text: `with part as materialized (
             select p.id, p.meter_id,
                    case p.outcome when 'reversal' then p.amount when 'failed' then 0 when 'disputed' then 0
                                   else -p.amount end as expected
               from payments p where p.id > $1::bigint and p.id <= $2::bigint
           ), moved as (
             select part.id, sum(e.amount) filter (where a.kind = 'provider') as money
               from part join ledger_transactions t on t.payment_id = part.id
               join ledger_entries e on e.transaction_id = t.id join accounts a on a.id = e.account_id
              group by part.id
           ), entered as (
             select s.id, s.meter_id, s.units, sum(e.amount) filter (where a.kind = 'units') as energy
               from part join sales s on s.payment_id = part.id
               left join ledger_entries e on e.transaction_id = s.transaction_id
               left join accounts a on a.id = e.account_id
              group by s.id, s.meter_id, s.units
           )
           select 'payment' as kind, part.id::text, part.meter_id, part.expected::text,
                  coalesce(moved.money, 0)::text as found
             from part left join moved on moved.id = part.id
            where coalesce(moved.money, 0) <> part.expected
           union all
           select 'sale', id::text, meter_id, units::text, coalesce(energy, 0)::text
             from entered where coalesce(energy, 0) <> units`,
    values: [after.toString(), upTo.toString()],
  });
  return rows;
}

import type { Session } from '../database/database.js';
import { integerArray, textArray } from '../readings/array-literal.js';

/** A meter's energy account, locked. */
export interface UnitsAccount {
  readonly id: string;
  /** Ten-thousandths of a unit. */
  readonly balance: number;
}

/** A report that is kept already. Amounts in ten-thousandths of a unit. */
export interface KnownReport {
  readonly meter_id: string;
  readonly identity: string;
  readonly units: number;
  readonly remaining: number;
  readonly total: number | null;
  /** Unix ms. */
  readonly received_at: number;
}

/** A report on its way into the ledger. */
export interface NewReport {
  readonly meter_id: string;
  readonly identity: string;
  readonly account: string;
  readonly units: number;
  readonly remaining: number;
  readonly total: number | null;
  readonly time: number | null;
  readonly received_at: number;
  /** The ledger's balance after it. */
  readonly balance: number;
}

/**
 * The energy accounts of these meters, locked until the end of the transaction in the ledger's order (by id). Those of
 * money stay free: a payment that needs them waits for the energy account first, or is before us.
 */
export async function lockUnits(
  tx: Session,
  meterIds: readonly string[],
): Promise<Map<string, UnitsAccount>> {
  const { rows } = await tx.query<UnitsAccount & { meter_id: string }>({
    name: 'consumption-lock',
    text: `select a.id, a.meter_id, (a.balance * 10000)::float8 as balance
             from accounts a
            where a.meter_id = any($1::text[]) and a.kind = 'units' and a.currency = ''
            order by a.id for no key update`,
    values: [textArray(meterIds)],
  });
  return new Map(rows.map(({ meter_id, id, balance }) => [meter_id, { id, balance }]));
}

/** Which of these identities are kept; the meters must be locked. */
export async function selectKnown(
  tx: Session,
  meterIds: readonly string[],
  identities: readonly string[],
): Promise<KnownReport[]> {
  const { rows } = await tx.query<KnownReport>({
    name: 'consumption-known',
    text: `select c.meter_id, c.identity, (c.units * 10000)::float8 as units, (c.remaining * 10000)::float8 as remaining,
                  (c.total * 10000)::float8 as total, (extract(epoch from c.received_at) * 1000)::float8 as received_at
             from unnest($1::text[], $2::text[]) as k (meter_id, identity)
             join consumption_reports c on c.meter_id = k.meter_id and c.identity = k.identity`,
    values: [textArray(meterIds), textArray(identities)],
  });
  return rows;
}

const reports = `select u.meter_id, u.identity, u.account, (u.units * 0.0001)::numeric(14, 4) as units,
                        (u.remaining * 0.0001)::numeric(14, 4) as remaining, (u.total * 0.0001)::numeric(14, 4) as total,
                        to_timestamp(u.time::float8 / 1000) as reported_at,
                        to_timestamp(u.received_at::float8 / 1000) as received_at,
                        (u.balance * 0.0001)::numeric(14, 4) as balance, u.n
                   from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                               $7::bigint[], $8::bigint[], $9::bigint[])
                     with ordinality as u (meter_id, identity, account, units, remaining, total, time, received_at,
                                           balance, n)`;

const keep = `insert into consumption_reports
                (meter_id, identity, units, remaining, total, reported_at, received_at, balance, transaction_id)`;

/** Keeps the reports and enters them: one ledger transaction for all, out of each meter's units, into `consumed`. */
export async function insertConsumption(
  tx: Session,
  rows: readonly NewReport[],
  consumed: string,
): Promise<void> {
  await tx.query({
    name: 'consumption-insert',
    text: `with r as materialized (${reports}),
           header as (
             insert into ledger_transactions (kind, caller) values ('consumption', 'meter') returning id
           ), kept as (
             ${keep}
             select meter_id, identity, units, remaining, total, reported_at, received_at, r.balance, header.id
               from r, header
           )
           insert into ledger_entries (transaction_id, account_id, amount, balance_after, occurred_at)
           select header.id, e.account, e.amount, e.balance, e.at
             from header, (
               select n, account, -units as amount, balance, coalesce(reported_at, received_at) as at
                 from r where units > 0
               union all
               select null, $10::bigint, sum(units), null, max(received_at) from r
             ) e
            order by e.n`,
    values: [...columns(rows), consumed],
  });
}

/** Reports of 0 units are kept, too, and move nothing. */
export async function insertIdle(tx: Session, rows: readonly NewReport[]): Promise<void> {
  await tx.query({
    name: 'consumption-idle',
    text: `${keep}
           select meter_id, identity, units, remaining, total, reported_at, received_at, balance, null from (${reports}) r`,
    values: columns(rows),
  });
}

function columns(rows: readonly NewReport[]): string[] {
  return [
    textArray(rows.map(({ meter_id }) => meter_id)),
    textArray(rows.map(({ identity }) => identity)),
    integerArray(rows.map(({ account }) => Number(account))),
    integerArray(rows.map(({ units }) => units)),
    integerArray(rows.map(({ remaining }) => remaining)),
    optionalArray(rows.map(({ total }) => total)),
    optionalArray(rows.map(({ time }) => time)),
    integerArray(rows.map(({ received_at }) => Math.trunc(received_at))),
    integerArray(rows.map(({ balance }) => balance)),
  ];
}

function optionalArray(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}

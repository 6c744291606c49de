import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { PaymentFilter, PaymentStatus } from './payment-list.js';

/** A payment, or a prompt that no payment has answered. Times are RFC 3339 in UTC. */
export interface ListedPayment {
  readonly type: 'payment' | 'prompt';
  /** Unique within its type. */
  readonly id: number;
  readonly status: PaymentStatus;
  readonly channel: string;
  readonly receipt: string | null;
  readonly amount: number | null;
  readonly currency: string | null;
  /** As the payer wrote it. */
  readonly meter_number: string | null;
  /** The meter that was credited. */
  readonly meter_id: string | null;
  readonly phone: string | null;
  /** What it bought; negative of a reversal. */
  readonly units: number | null;
  readonly result_code: string | null;
  readonly reason: string | null;
  readonly checkout_request_id: string | null;
  /** The provider's time; null when nothing was paid. */
  readonly paid_at: string | null;
  readonly received_at: string;
}

export interface MoneyTotals {
  /** Money credited within 24 hours, allocated money included, reversed money left out. */
  readonly day: readonly Money[];
  readonly suspense: readonly Money[];
  /** Disputed payments of the last seven days that nobody has credited. */
  readonly disputed: number;
  /** Prompts that customers have on their phones. */
  readonly prompts_open: number;
}

export interface Money {
  readonly currency: string;
  readonly payments: number;
  readonly amount: number;
}

const payments = `
  select 'payment' as type, p.id, p.channel, p.receipt, p.amount, p.currency, p.meter_number, p.meter_id, p.phone,
         p.result_code, p.reason, p.checkout_request_id, p.paid_at, p.received_at,
         case when r.id is not null then 'reversed'
              when p.outcome = 'suspense' and exists (select from sales x where x.payment_id = p.id) then 'allocated'
              when p.outcome = 'disputed' and exists (select from payments s where s.settles_id = p.id) then 'credited'
              else p.outcome end as status
    from payments p left join payments r on r.reverses_id = p.id and r.outcome = 'reversal'`;

const prompts = `
  select 'prompt' as type, q.id, 'stk' as channel, null::text as receipt, q.amount, q.currency, q.meter_number,
         q.meter_id, q.phone_number as phone, q.result_code, q.result_desc as reason, q.checkout_request_id,
         null::timestamptz as paid_at, q.requested_at as received_at, q.state as status
    from payment_prompts q
   where q.payment_id is null and q.state <> 'succeeded'`;

/** The outcome under which payments of a status are kept; reversed ones are found by what reversed them. */
const outcomeOf: Readonly<Partial<Record<PaymentStatus, string>>> = {
  accepted: 'accepted',
  suspense: 'suspense',
  allocated: 'suspense',
  failed: 'failed',
  disputed: 'disputed',
  credited: 'disputed',
  reversal: 'reversal',
};
const ofPrompts: ReadonlySet<PaymentStatus> = new Set(['requested', 'open', 'failed', 'expired']);

/** Ids rise with the time of arrival, so that each part needs no more than a page's worth of its newest rows. */
export async function selectPayments(
  session: Session,
  { limit, offset, order, start, end }: PageRequest<'received_at'>,
  filter: PaymentFilter,
): Promise<{ data: ListedPayment[]; total: number }> {
  const parts = partsOf(filter);
  const bounds = [
    filter.statuses,
    filter.meter,
    filter.receipt,
    filter.channel,
    iso(start),
    iso(end),
    filter.owner,
  ];
  const newest = parts.map((part) => `(${part} order by id ${order} limit $8)`);
  // amount has 14 digits at most: exact as a double.
  const { rows } = await session.query<Row>({
    text: `select u.type, u.id::float8 as id, u.status, u.channel, u.receipt, u.amount::float8 as amount, u.currency,
                  u.meter_number, coalesce(s.meter_id, u.meter_id) as meter_id, u.phone, s.units::float8 as units,
                  u.result_code, u.reason, u.checkout_request_id, u.paid_at, u.received_at
             from (select * from (${newest.join(' union all ')}) v
                    order by received_at ${order}, type, id ${order} limit $9 offset $10) u
             left join lateral (select x.meter_id, x.units from sales x
                                 where u.type = 'payment' and x.payment_id = u.id order by x.id limit 1) s on true
            order by u.received_at ${order}, u.type, u.id ${order}`,
    values: [...bounds, limit + offset, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select (${parts.map((part) => `(select count(*) from (${part}) c)`).join(' + ')})::float8 as total`,
    values: bounds,
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

/** Selects that have no row in common, and look only where such rows can be. The names in them are our own. */
function partsOf(filter: PaymentFilter): string[] {
  const { statuses, wasSuspense } = filter;
  const part = (source: string, ...more: string[]): string =>
    `select * from (${source}) h where ${[...more, ...conditionsOf(filter, source === prompts)].join(' and ')}`;
  if (wasSuspense) return [part(`${payments} where p.outcome = 'suspense'`)];
  if (statuses === null) return [part(payments), part(prompts)];
  const outcomes = [...new Set(statuses.flatMap((status) => outcomeOf[status] ?? []))];
  const kept = `${payments} where p.outcome in (${outcomes.map((outcome) => `'${outcome}'`).join(', ')})`;
  const reversed = `${payments} where p.id in (select v.reverses_id from payments v where v.outcome = 'reversal')`;
  return [
    ...(outcomes.length > 0 ? [part(kept, `status <> 'reversed'`)] : []),
    ...(statuses.includes('reversed') ? [part(reversed)] : []),
    ...(statuses.some((status) => ofPrompts.has(status)) ? [part(prompts)] : []),
  ];
}

/** Of what is not asked for there is no condition; its parameter is named all the same. */
function conditionsOf(filter: PaymentFilter, isOfPrompts: boolean): string[] {
  const { statuses, meter, receipt, channel, owner } = filter;
  const ofMeter = isOfPrompts
    ? 'meter_id = $2::text'
    : `id in (select x.id from payments x where x.meter_id = $2::text
              union select x.payment_id from sales x where x.meter_id = $2::text)`;
  const owned = 'select d.meter_id from devices d where d.user_id = $7::uuid';
  const ofOwner = isOfPrompts
    ? `meter_id in (${owned})`
    : `id in (select x.id from payments x where x.meter_id in (${owned})
              union select x.payment_id from sales x where x.meter_id in (${owned}))`;
  // A prompt credited by asking has its receipt later, and elsewhere.
  const ofReceipt = `id in (select x.id from payments x where upper(x.receipt) = upper($3::text)
                            union select q.payment_id from payment_prompts q where upper(q.receipt) = upper($3::text))`;
  return [
    statuses === null ? '$1::text[] is null' : 'status = any($1::text[])',
    meter === null ? '$2::text is null' : ofMeter,
    receipt === null ? '$3::text is null' : isOfPrompts ? 'receipt = $3::text' : ofReceipt,
    channel === null ? '$4::text is null' : 'channel = $4::text',
    owner === null ? '$7::uuid is null' : ofOwner,
    '($5::timestamptz is null or received_at >= $5) and ($6::timestamptz is null or received_at < $6)',
  ];
}

export async function selectTotals(session: Session): Promise<MoneyTotals> {
  const { rows } = await session.query<TotalRow>({
    name: 'payment-totals',
    text: `with p as (
             select p.currency, p.amount,
                    p.outcome = 'suspense' and not exists (select from sales s where s.payment_id = p.id) as waits
               from payments p
              where (p.outcome = 'suspense' or (p.outcome = 'accepted' and p.received_at > now() - interval '24 hours'))
                and not exists (select from payments r where r.reverses_id = p.id and r.outcome = 'reversal')
                and (p.outcome = 'accepted' or p.received_at > now() - interval '24 hours'
                     or not exists (select from sales s where s.payment_id = p.id)))
           select waits, currency, count(*)::int as payments, sum(amount)::float8 as amount
             from p group by waits, currency order by currency`,
  });
  const counted = await session.query<{ disputed: number; prompts_open: number }>({
    name: 'payment-counts',
    text: `select (select count(*)::int from payments p
                    where p.outcome = 'disputed' and p.received_at > now() - interval '7 days'
                      and not exists (select from payments s where s.settles_id = p.id)) as disputed,
                  (select count(*)::int from payment_prompts where state in ('requested', 'open')) as prompts_open`,
  });
  const money = (isWaiting: boolean): Money[] =>
    rows
      .filter(({ waits }) => waits === isWaiting)
      .map(({ currency, payments: count, amount }) => ({ currency, payments: count, amount }));
  return {
    day: money(false),
    suspense: money(true),
    ...(counted.rows[0] ?? { disputed: 0, prompts_open: 0 }),
  };
}

interface TotalRow extends Money {
  readonly waits: boolean;
}

interface Row extends Omit<ListedPayment, 'paid_at' | 'received_at'> {
  readonly paid_at: Date | null;
  readonly received_at: Date;
}

function forPeople(row: Row): ListedPayment {
  return {
    ...row,
    paid_at: row.paid_at?.toISOString() ?? null,
    received_at: row.received_at.toISOString(),
  };
}

function iso(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

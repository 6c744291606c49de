-- Prepaid money. What is entered here stays: the triggers refuse update, delete and truncate, also to the owner.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% of % is refused: what is entered stays, a correction is a new row', lower(tg_op), tg_table_name
    using errcode = 'restrict_violation';
end $$;

-- A plan's versions. A sale keeps the version that it was made under, so a version never changes. blocks is
-- [{"from": 0, "price": 25}, {"from": 50, "price": 31.5}]: price per unit of those units of a calendar month that lie
-- beyond `from`. Months are those of time_zone.
create table tariffs (
  id bigint generated always as identity primary key,
  plan text not null constraint tariffs_plan_check check (plan ~ '^[A-Za-z0-9_-]{1,50}$'),
  currency text not null constraint tariffs_currency_check check (currency ~ '^[A-Z]{3}$'),
  time_zone text not null,
  valid_from timestamptz not null,
  payment_fee numeric(12, 2) not null default 0 constraint tariffs_payment_fee_check check (payment_fee >= 0),
  monthly_fee numeric(12, 2) not null default 0 constraint tariffs_monthly_fee_check check (monthly_fee >= 0),
  -- Of what is left of a payment after the fees, this part goes to arrears while there are any.
  arrears_share numeric(5, 4) not null default 0
    constraint tariffs_arrears_share_check check (arrears_share between 0 and 1),
  blocks jsonb not null
    constraint tariffs_blocks_check check (blocks @? '$[0] ? (@.from == 0)' and not blocks @? '$[*] ? (!(@.price >= 0.01))'),
  created_by text not null default 'meterflow',
  created_at timestamptz not null default now(),
  constraint tariffs_version_key unique (plan, valid_from)
);
create trigger tariffs_stay before update or delete or truncate on tariffs
  for each statement execute function refuse_change();

alter table devices
  add tariff_plan text not null default 'default',
  -- The last status message of a meter ([M-3]).
  add last_status jsonb,
  add last_status_at timestamptz;

-- An entry moves an amount into an account (positive) or out of it (negative). Of a meter: units (energy, the balance),
-- credit (the customer's money, also the remainder of a sale), arrears (negative while the customer owes). Of the
-- system: issued and consumed (energy), provider, revenue, fees, suspense (money). balance is a cache, kept for the
-- accounts of meters only; the others would make every transaction wait for every other.
create table accounts (
  id bigint generated always as identity primary key,
  kind text not null constraint accounts_kind_check check (kind in
    ('units', 'credit', 'arrears', 'issued', 'consumed', 'provider', 'revenue', 'fees', 'suspense')),
  commodity text not null generated always as
    (case when kind in ('units', 'issued', 'consumed') then 'energy' else 'money' end) stored,
  meter_id text constraint accounts_meter_check
    check ((meter_id is not null) = (kind in ('units', 'credit', 'arrears'))),
  -- ISO 4217 of money, '' of energy.
  currency text not null
    constraint accounts_currency_check check ((currency = '') = (kind in ('units', 'issued', 'consumed'))),
  balance numeric(24, 8) not null default 0,
  updated_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  constraint accounts_key unique nulls not distinct (meter_id, kind, currency)
);
create index accounts_low_idx on accounts (balance) where kind = 'units';

create table ledger_transactions (
  id bigint generated always as identity primary key,
  kind text not null constraint ledger_transactions_kind_check check (kind in
    ('sale', 'suspense', 'allocation', 'reversal', 'consumption', 'charge', 'token')),
  payment_id bigint,
  reverses_id bigint constraint ledger_transactions_reverses_id_key unique
    constraint ledger_transactions_reverses_id_fkey references ledger_transactions (id),
  memo text,
  caller text not null default 'meterflow',
  xact_id xid8 not null default pg_current_xact_id(),
  posted_at timestamptz not null default now()
);
create index ledger_transactions_payment_idx on ledger_transactions (payment_id) where payment_id is not null;
-- Money is sold, kept and allocated once.
create unique index ledger_transactions_payment_key on ledger_transactions (payment_id, kind)
  where kind in ('sale', 'suspense', 'allocation');

-- Without foreign keys: the statement trigger below looks at all rows of a batch at once.
create table ledger_entries (
  id bigint generated always as identity primary key,
  transaction_id bigint not null,
  account_id bigint not null,
  amount numeric(24, 8) not null constraint ledger_entries_amount_check check (amount <> 0),
  -- Of a meter's account: what the account held after this entry.
  balance_after numeric(24, 8),
  -- The meter's or the provider's time of what happened.
  occurred_at timestamptz not null default now()
);
create index ledger_entries_account_idx on ledger_entries (account_id, id);
create index ledger_entries_transaction_idx on ledger_entries (transaction_id);

-- The entries of a transaction come in one statement, in the database transaction of their header: nothing can be added
-- later. They name accounts that exist, the cached balances follow, and balance_after is right, so that every account of
-- a meter is a chain that can be followed. Whoever enters must lock those accounts first.
create function enter_ledger_entries() returns trigger language plpgsql as $$
begin
  if exists (
    select from (select transaction_id, count(*) as n from entered group by transaction_id) e
     where not exists (select from ledger_transactions t
                        where t.id = e.transaction_id and t.xact_id = pg_current_xact_id())
        or n <> (select count(*) from ledger_entries l where l.transaction_id = e.transaction_id)
  ) then
    raise exception 'ledger entries are made together with their transaction, in one statement, never added later'
      using errcode = 'restrict_violation', constraint = 'ledger_entries_transaction';
  end if;
  update accounts a
     set balance = a.balance + e.amount, updated_at = now()
    from (select account_id, sum(amount) as amount from entered group by account_id) e
   where a.id = e.account_id and a.meter_id is not null;
  if exists (
    select from (
      select e.amount, e.balance_after, a.id, a.meter_id, a.commodity,
             a.balance + e.amount - sum(e.amount) over (partition by e.account_id order by e.id desc
               rows between unbounded preceding and current row) as held
        from entered e left join accounts a on a.id = e.account_id) checked
     where id is null
        or balance_after is distinct from case when meter_id is not null then held end
        or (commodity = 'energy' and amount <> round(amount, 4))
  ) then
    raise exception 'a ledger entry names no account, a wrong balance_after, or parts of a ten-thousandth of a unit'
      using errcode = 'check_violation', constraint = 'ledger_entries_account';
  end if;
  return null;
end $$;
create trigger ledger_entries_entered after insert on ledger_entries
  referencing new table as entered for each statement execute function enter_ledger_entries();

-- The sum of a transaction is zero per commodity and currency, looked at when it commits.
create function balance_ledger_transaction() returns trigger language plpgsql as $$
declare
  entries integer;
  unbalanced text;
begin
  select coalesce(sum(n), 0), string_agg(format('%s %s', total, commodity), ', ') filter (where total <> 0)
    into entries, unbalanced
    from (select a.commodity || ' ' || a.currency as commodity, sum(e.amount) as total, count(*) as n
            from ledger_entries e join accounts a on a.id = e.account_id
           where e.transaction_id = new.id group by 1) sums;
  if entries < 2 or unbalanced is not null then
    raise exception 'ledger transaction % is not balanced: %', new.id, coalesce(unbalanced, 'no entries')
      using errcode = 'check_violation', constraint = 'ledger_transactions_balanced';
  end if;
  return null;
end $$;
create constraint trigger ledger_transactions_balanced after insert on ledger_transactions
  deferrable initially deferred for each row execute function balance_ledger_transaction();

create trigger ledger_transactions_stay before update or delete or truncate on ledger_transactions
  for each statement execute function refuse_change();
create trigger ledger_entries_stay before update or delete or truncate on ledger_entries
  for each statement execute function refuse_change();

-- An account stays what it is; its cached balance moves with its entries and in no other way.
create function keep_account() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.balance = 0 then return new; end if;
  elsif tg_op = 'UPDATE' then
    if pg_trigger_depth() > 1 and (new.id, new.kind, new.meter_id, new.currency)
        is not distinct from (old.id, old.kind, old.meter_id, old.currency) then
      return new;
    end if;
  end if;
  raise exception '% of an account is refused: its balance moves with its entries', lower(tg_op)
    using errcode = 'restrict_violation';
end $$;
create trigger accounts_kept before insert or update or delete on accounts
  for each row execute function keep_account();
create trigger accounts_stay before truncate on accounts for each statement execute function refuse_change();

-- The accounts that are nobody's: those of energy from the start, those of a currency with its first tariff.
insert into accounts (kind, currency) values ('issued', ''), ('consumed', '');
create function open_currency() returns trigger language plpgsql as $$
begin
  insert into accounts (kind, currency)
  select kind, new.currency from unnest('{provider,revenue,fees,suspense}'::text[]) as kind
  on conflict on constraint accounts_key do nothing;
  return null;
end $$;
create trigger tariffs_open_currency after insert on tariffs for each row execute function open_currency();

-- Money as it came, or did not come. accepted: credited to a meter; suspense: real money that names no known meter;
-- failed: the provider says that nothing was paid; disputed: does not fit what we know, credits nothing until a person
-- has looked; reversal: takes the payment `reverses_id` back.
create table payments (
  id bigint generated always as identity primary key,
  channel text not null constraint payments_channel_check check (channel in ('stk', 'c2b', 'query', 'operator')),
  outcome text not null constraint payments_outcome_check
    check (outcome in ('accepted', 'suspense', 'failed', 'disputed', 'reversal')),
  receipt text,
  amount numeric(14, 2),
  currency text,
  -- The meter as the payer wrote it, and the one that it is.
  meter_number text,
  meter_id text,
  -- As the provider sent it: in full, masked or hashed.
  phone text,
  result_code text,
  reason text,
  checkout_request_id text,
  reverses_id bigint constraint payments_reverses_id_key unique
    constraint payments_reverses_id_fkey references payments (id),
  paid_at timestamptz,
  received_at timestamptz not null default now(),
  -- Of the callback's body, so that one that credits nothing is kept once, too.
  callback_sha256 bytea,
  details jsonb not null default '{}',
  constraint payments_money_check check (outcome not in ('accepted', 'suspense', 'reversal')
    or (receipt is not null and amount > 0 and currency is not null))
);
create unique index payments_receipt_key on payments (upper(receipt)) where outcome in ('accepted', 'suspense');
create unique index payments_callback_key on payments (callback_sha256) where outcome in ('failed', 'disputed');
create index payments_meter_idx on payments (meter_id, id desc);
create index payments_suspense_idx on payments (id) where outcome = 'suspense';
create trigger payments_stay before update or delete or truncate on payments
  for each statement execute function refuse_change();

-- Requests to a customer's phone. The provider's callback carries no meter, only the checkout_request_id.
create table payment_prompts (
  id bigint generated always as identity primary key,
  checkout_request_id text constraint payment_prompts_checkout_request_id_key unique,
  merchant_request_id text,
  meter_number text not null,
  meter_id text not null,
  amount numeric(14, 2) not null constraint payment_prompts_amount_check check (amount > 0),
  currency text not null,
  phone_number text not null,
  caller text not null,
  -- open: the customer has it; succeeded and failed: the provider's word; expired: nobody could say in time.
  state text not null default 'requested' constraint payment_prompts_state_check
    check (state in ('requested', 'open', 'succeeded', 'failed', 'expired')),
  result_code text,
  result_desc text,
  payment_id bigint constraint payment_prompts_payment_id_fkey references payments (id),
  asks integer not null default 0,
  -- When the provider is asked what became of it.
  ask_at timestamptz,
  requested_at timestamptz not null default now(),
  closed_at timestamptz
);
create index payment_prompts_ask_idx on payment_prompts (ask_at) where state in ('requested', 'open');

-- What a payment bought, with the arithmetic. A reversal is a sale of negative units.
create table sales (
  id bigint generated always as identity primary key,
  payment_id bigint not null constraint sales_payment_id_fkey references payments (id),
  transaction_id bigint not null constraint sales_transaction_id_key unique
    constraint sales_transaction_id_fkey references ledger_transactions (id),
  meter_id text not null,
  tariff_id bigint not null constraint sales_tariff_id_fkey references tariffs (id),
  -- First day of the calendar month in the tariff's time zone.
  month date not null,
  units numeric(14, 4) not null,
  energy_cost numeric(24, 8) not null,
  payment_fee numeric(24, 8) not null,
  monthly_fee numeric(24, 8) not null,
  arrears_paid numeric(24, 8) not null,
  credit_before numeric(24, 8) not null,
  credit_after numeric(24, 8) not null,
  -- [{"price": 25, "units": 4}]
  blocks jsonb not null,
  reverses_id bigint constraint sales_reverses_id_key unique constraint sales_reverses_id_fkey references sales (id),
  sold_at timestamptz not null default now()
);
create index sales_month_idx on sales (meter_id, month);
create index sales_payment_idx on sales (payment_id);
create trigger sales_stay before update or delete or truncate on sales
  for each statement execute function refuse_change();

-- Reports of prepaid meters ([M-2]). identity says which one it is ([P-6]): `t:` with the meter's time in Unix ms, else
-- `c:` with its counter and its balance, else `h:` with the content and the time of the first arrival.
create table consumption_reports (
  id bigint generated always as identity,
  meter_id text not null,
  identity text not null,
  units numeric(14, 4) not null constraint consumption_reports_units_check check (units >= 0),
  remaining numeric(14, 4) not null,
  total numeric(14, 4),
  reported_at timestamptz,
  received_at timestamptz not null,
  -- The ledger's balance after it.
  balance numeric(14, 4) not null,
  transaction_id bigint,
  constraint consumption_reports_pkey primary key (meter_id, identity)
);
create index consumption_reports_latest_idx on consumption_reports (meter_id, received_at desc);

-- What must leave after a commit, in order per subject. kind balance: the subject is a meter and the payload is made
-- when it is sent, since only the newest balance counts; at most one is open per meter.
create table outbox (
  id bigint generated always as identity primary key,
  kind text not null constraint outbox_kind_check check (kind in ('balance', 'device-event')),
  subject text not null,
  topic text,
  payload jsonb,
  -- Raised when more is wanted of a row that is open already.
  revision integer not null default 1,
  reason text,
  created_at timestamptz not null default now(),
  -- Not before; infinity while the meter is away.
  next_at timestamptz not null default now(),
  attempts integer not null default 0,
  claimed_by text,
  claimed_until timestamptz,
  sent_at timestamptz,
  sent_payload jsonb,
  done_at timestamptz,
  outcome text constraint outbox_outcome_check check (outcome in ('confirmed', 'published', 'superseded', 'cancelled'))
);
create unique index outbox_open_balance_key on outbox (subject) where kind = 'balance' and done_at is null;
create index outbox_open_idx on outbox (kind, next_at, id) where done_at is null;
create index outbox_subject_idx on outbox (subject, id desc);

-- The timestamp of balance commands rises strictly per meter, whatever the clocks of the instances say ([M-6]).
create table balance_commands (
  meter_id text primary key,
  last_timestamp bigint not null,
  sent_balance numeric(14, 4),
  sent_at timestamptz,
  confirmed_balance numeric(14, 4),
  confirmed_at timestamptz
);

-- Asks for a balance command to a meter, in the transaction of what made it necessary.
create function want_balance_command(meter text, why text) returns void language plpgsql as $$
begin
  insert into outbox (kind, subject, reason) values ('balance', meter, why)
  on conflict (subject) where kind = 'balance' and done_at is null
  do update set revision = outbox.revision + 1, next_at = now(), attempts = 0, reason = excluded.reason;
  perform pg_notify('outbox_changed', 'balance');
end $$;

-- A meter whose own balance is not the ledger's: one row per episode.
create table balance_drifts (
  id bigint generated always as identity primary key,
  meter_id text not null,
  ledger_balance numeric(14, 4) not null,
  meter_balance numeric(14, 4) not null,
  occurrences integer not null default 1,
  first_at timestamptz not null default now(),
  last_at timestamptz not null default now(),
  resolved_at timestamptz
);
create unique index balance_drifts_open_key on balance_drifts (meter_id) where resolved_at is null;
create index balance_drifts_last_idx on balance_drifts (last_at desc);

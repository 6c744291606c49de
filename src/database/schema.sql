-- The whole schema, to be read. The database is built by migrations/*.sql; a test holds the two equal.

-- Accounts of people; `demo` is created at start in the demo profile.
create table users (
  id uuid primary key default gen_random_uuid(),
  email text not null constraint users_email_key unique,
  role text not null default 'prosumer' constraint users_role_check check (role in ('admin', 'operator', 'prosumer')),
  wallet_address text,
  password_hash text,
  created_at timestamptz not null default now(),
  disabled_at timestamptz,
  -- Tokens made before this are void: after another password, another role, or "log out everywhere".
  tokens_from timestamptz not null default '-infinity',
  last_login_at timestamptz
);

-- The registry: one row per device. password_hash is the SHA-256 of a random secret (>= 128 bit).
create table devices (
  id text primary key default gen_random_uuid()::text
    constraint devices_id_check check (id ~ '^[A-Za-z0-9_-]{1,50}$'),
  meter_id text not null constraint devices_meter_id_key unique
    constraint devices_meter_id_check check (meter_id ~ '^[A-Za-z0-9_-]{1,50}$'),
  drn text constraint devices_drn_key unique,
  type text not null constraint devices_type_check check (type ~ '^[a-z0-9_-]{1,32}$'),
  name text,
  location text,
  status text not null default 'offline',
  user_id uuid references users (id) on delete set null,
  base_power numeric,
  base_voltage numeric,
  mock boolean not null default false,
  mqtt_user text not null constraint devices_mqtt_user_key unique,
  password_hash bytea not null,
  -- A password that was rotated stays valid until then, so that a meter has the time to learn the new one.
  previous_password_hash bytea,
  previous_password_until timestamptz,
  connected_instance text,
  last_seen_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  tariff_plan text not null default 'default',
  -- The last status message of a meter ([M-3]).
  last_status jsonb,
  last_status_at timestamptz
);
create index devices_user_id_idx on devices (user_id);

-- Service accounts of the broker with their topic filters ([M-12]).
create table mqtt_accounts (
  name text primary key constraint mqtt_accounts_name_check check (name ~ '^[A-Za-z0-9_-]{1,50}$'),
  password_hash bytea not null,
  may_read text[] not null default '{}',
  may_write text[] not null default '{}',
  revoked_at timestamptz,
  created_at timestamptz not null default now()
);

-- Tells every instance to forget what it cached of a device or an account, and to close revoked sessions.
create function notify_registry_changed() returns trigger language plpgsql as $$
declare
  name text;
begin
  if tg_table_name = 'devices' then
    name := case when tg_op = 'DELETE' then old.mqtt_user else new.mqtt_user end;
  else
    name := case when tg_op = 'DELETE' then old.name else new.name end;
  end if;
  perform pg_notify('registry_changed', name);
  return null;
end $$;
create trigger devices_changed
  after insert or delete or update of meter_id, drn, user_id, mqtt_user, password_hash, revoked_at on devices
  for each row execute function notify_registry_changed();
create trigger mqtt_accounts_changed
  after insert or delete or update on mqtt_accounts
  for each row execute function notify_registry_changed();

-- What happened to devices: the log and the outbox of device events in one ([M-8], [L-4]).
create table device_events (
  id bigint generated always as identity primary key,
  device_id text not null,
  event_type text not null constraint device_events_type_check
    check (event_type in ('device.created', 'device.updated', 'device.deleted')),
  -- Rises strictly per device, whatever the clock does.
  occurred_at timestamptz not null,
  device_data jsonb not null,
  -- Null: open, still to leave.
  published_at timestamptz,
  claimed_by text,
  claimed_until timestamptz,
  attempts integer not null default 0
) with (fillfactor = 80);
create index device_events_open_idx on device_events (id) where published_at is null;
create index device_events_device_idx on device_events (device_id, id desc);
create index device_events_occurred_idx on device_events using brin (occurred_at) with (pages_per_range = 32);

-- What others may know of a device. Texts are cut, so that no event outgrows what a broker takes in one packet.
create function device_event_data(
  id text, name text, type text, location text, status text, base_power numeric, base_voltage numeric, meter_id text,
  drn text, created_at timestamptz, updated_at timestamptz
) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'id', id, 'name', left(name, 1000), 'type', type, 'location', left(location, 1000), 'status', left(status, 1000),
    'base_power', base_power, 'base_voltage', base_voltage, 'meter_id', meter_id, 'drn', left(drn, 1000),
    'created_at', to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'updated_at', to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;

-- Writes the events of one statement, in its transaction: a change by the API and a change in SQL are the same. Mock
-- devices have none ([L-3]). A device whose id changes, or which becomes a mock, is gone for others. The full join
-- keeps its plan good for one row and for 10,000. An event comes after the last one of its device, also by a clock that
-- was set back; the change holds the lock of the device's row.
create function log_device_events() returns trigger language plpgsql set enable_seqscan = off as $$
begin
  if tg_op = 'INSERT' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, 'device.created',
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           device_event_data(d.id, d.name, d.type, d.location, d.status, d.base_power, d.base_voltage, d.meter_id,
                             d.drn, d.created_at, d.updated_at)
      from devices_now d where not d.mock order by d.id;
  elsif tg_op = 'DELETE' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, 'device.deleted',
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           device_event_data(d.id, d.name, d.type, d.location, d.status, d.base_power, d.base_voltage, d.meter_id,
                             d.drn, d.created_at, d.updated_at)
      from devices_before d where not d.mock order by d.id;
  elsif tg_op = 'TRUNCATE' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, 'device.deleted',
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           device_event_data(d.id, d.name, d.type, d.location, d.status, d.base_power, d.base_voltage, d.meter_id,
                             d.drn, d.created_at, d.updated_at)
      from devices d where not d.mock order by d.id;
  else
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, d.event_type,
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           d.device_data
      from (select coalesce(n.id, o.id) as id,
                   case when o.id is null then 'device.created' when n.id is null then 'device.deleted'
                        else 'device.updated' end as event_type,
                   case when n.id is null
                        then device_event_data(o.id, o.name, o.type, o.location, o.status, o.base_power,
                                               o.base_voltage, o.meter_id, o.drn, o.created_at, o.updated_at)
                        else device_event_data(n.id, n.name, n.type, n.location, n.status, n.base_power,
                                               n.base_voltage, n.meter_id, n.drn, n.created_at, n.updated_at)
                    end as device_data
              from (select b.* from devices_before b where not b.mock) o
              full join (select a.* from devices_now a where not a.mock) n on n.id = o.id
             where o.id is null or n.id is null
                or (n.type, n.name, n.location, n.status, n.base_power, n.base_voltage, n.meter_id, n.drn, n.user_id,
                    n.tariff_plan)
                   is distinct from
                   (o.type, o.name, o.location, o.status, o.base_power, o.base_voltage, o.meter_id, o.drn, o.user_id,
                    o.tariff_plan)) d
     order by d.id;
  end if;
  -- Commits that notify wait for one another, each for its own turn at the disk (200/s instead of 2,800 in a trial). So
  -- nobody is woken who must be awake: a relay looks again and again for longer than a second after it found an event.
  if found and not exists (select from device_events e
                            where e.published_at is null and e.xmin <> pg_current_xact_id()::xid
                              and e.occurred_at > clock_timestamp() - interval '1 second') then
    perform pg_notify('device_events_changed', '');
  end if;
  return null;
end $$;
create trigger devices_created after insert on devices
  referencing new table as devices_now for each statement execute function log_device_events();
create trigger devices_updated after update on devices
  referencing old table as devices_before new table as devices_now
  for each statement execute function log_device_events();
create trigger devices_deleted after delete on devices
  referencing old table as devices_before for each statement execute function log_device_events();
create trigger devices_truncated before truncate on devices
  for each statement execute function log_device_events();

-- Takes open events, the oldest first, for so many seconds. An event is taken only when no earlier one of its device is
-- under way anywhere: so several relays keep the order of each device. One claims at a time; a function, so that what the
-- one before has claimed is seen in one way to the server and back, and nobody who stands still holds the lock. Looked
-- at are ten times as many as wanted, so that several relays find work side by side. Nobody waits for the disk: a claim
-- that is lost in a crash means an event twice, not none.
create function claim_device_events(most integer, claimer text, seconds integer) returns setof device_events
  language plpgsql set enable_seqscan = off set enable_bitmapscan = off as $$
begin
  perform set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(7306135212);
  return query
    with open as materialized (
      select e.id, e.device_id, coalesce(e.claimed_until > clock_timestamp(), false) as taken
        from device_events e where e.published_at is null order by e.id limit most * 10
    ), judged as (
      select o.id, o.taken, min(o.id) filter (where o.taken) over (partition by o.device_id) as first_taken from open o
    ), ready as (
      select e.id from device_events e
       where e.id in (select j.id from judged j where not j.taken and (j.first_taken is null or j.id < j.first_taken)
                       order by j.id limit most)
       order by e.id for update skip locked
    )
    update device_events e
       set claimed_by = claimer, claimed_until = clock_timestamp() + seconds * interval '1 second',
           attempts = e.attempts + 1
      from ready where e.id = ready.id
    returning e.*;
end $$;

-- Keys that devices sign readings with. public_key holds the 32 bytes of an Ed25519 public key, or an HMAC secret
-- encrypted with AES-256-GCM under MASTER_KEY, which is not in the database. During the grace of a rotation a meter has
-- several valid keys; one of them is current. Removing a device removes its keys, lest the next of that name inherit them.
create table device_keys (
  id uuid primary key default gen_random_uuid(),
  meter_id text not null
    constraint device_keys_meter_id_fkey references devices (meter_id) on delete cascade,
  user_id uuid constraint device_keys_user_id_fkey references users (id) on delete set null,
  algorithm text not null
    constraint device_keys_algorithm_check check (algorithm in ('hmac-sha256', 'ed25519')),
  public_key bytea not null,
  device_certificate text,
  provisioned_at timestamptz not null default now(),
  -- Set by the rotation that gave it a successor.
  grace_until timestamptz,
  revoked_at timestamptz,
  -- Written in batches, up to a minute late.
  last_used_at timestamptz,
  created_at timestamptz not null default now()
);
create unique index device_keys_current_key on device_keys (meter_id) where revoked_at is null and grace_until is null;
create index device_keys_meter_idx on device_keys (meter_id, created_at desc);
create index device_keys_user_idx on device_keys (user_id);

-- Tells every instance to forget what it cached of a meter's keys. Not fired by last_used_at.
create function notify_device_keys_changed() returns trigger language plpgsql as $$
begin
  perform pg_notify('device_keys_changed', case when tg_op = 'DELETE' then old.meter_id else new.meter_id end);
  return null;
end $$;
create trigger device_keys_changed
  after insert or delete or update of meter_id, algorithm, public_key, created_at, grace_until, revoked_at on device_keys
  for each row execute function notify_device_keys_changed();
create trigger devices_keys_changed
  after insert or delete or update of meter_id, user_id, revoked_at on devices
  for each row execute function notify_device_keys_changed();

-- Interval readings. The primary key is the time-series index (meter, time); no two stored readings of a meter share
-- an instant. Partitioned by day of reading_timestamp (UTC); partitions are named meter_readings_YYYYMMDD.
create sequence meter_readings_id_seq cache 100;
create table meter_readings (
  id bigint not null default nextval('meter_readings_id_seq'),
  meter_id text not null,
  user_id uuid,
  wallet_address text,
  kwh_amount numeric(14, 4) not null constraint meter_readings_kwh_amount_check check (kwh_amount > 0),
  reading_timestamp timestamptz not null,
  submitted_at timestamptz not null default now(),
  source text not null default 'mqtt',
  minted boolean not null default false,
  mint_tx_signature text,
  constraint meter_readings_pkey primary key (meter_id, reading_timestamp)
) partition by range (reading_timestamp);
create index meter_readings_id_idx on meter_readings using brin (id);

-- Messages that cannot be stored for their own sake, with the reason ([M-14]). payload is what arrived, byte for byte.
create table quarantined_messages (
  id bigint generated always as identity primary key,
  device_id text,
  meter_id text,
  topic text not null,
  qos smallint not null,
  part integer not null default 0,
  code text not null,
  reason text not null,
  payload bytea not null,
  received_at timestamptz not null,
  quarantined_at timestamptz not null default now(),
  replayed_at timestamptz,
  -- Of the last replay. stored and duplicate are final; a refused one may be tried again.
  replay_outcome text constraint quarantined_messages_replay_outcome_check
    check (replay_outcome in ('stored', 'duplicate', 'refused')),
  replay_code text,
  replay_reason text
);
create index quarantined_messages_meter_idx on quarantined_messages (meter_id, quarantined_at desc);
create index quarantined_messages_at_idx on quarantined_messages (quarantined_at desc);
-- The desk's counts by code come from this index alone.
create index quarantined_messages_code_idx on quarantined_messages (code, quarantined_at desc) include (replay_outcome);

-- QoS 1 and 2 messages of devices that no other table keeps. Partitioned by day of received_at (UTC).
create sequence device_messages_id_seq cache 100;
create table device_messages (
  id bigint not null default nextval('device_messages_id_seq'),
  device_id text not null,
  meter_id text not null,
  topic text not null,
  qos smallint not null,
  payload bytea not null,
  received_at timestamptz not null,
  constraint device_messages_pkey primary key (id, received_at)
) partition by range (received_at);
create index device_messages_device_idx on device_messages (device_id, received_at);

-- Who did what to whom. Never updated, never deleted.
create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  subject text not null,
  address text,
  details jsonb not null default '{}'
);
create index audit_log_subject_idx on audit_log (subject, at desc);

-- Submissions of many readings over HTTP ([H-7]). The job that stores one stands in the schema pgboss under the same
-- id. refused (at once) and rejected (by the store) are [{index, meter_id, error, reason}]; readings holds what is
-- still to be stored, null once the batch is finished.
create table reading_batches (
  id uuid primary key,
  state text not null constraint reading_batches_state_check
    check (state in ('queued', 'running', 'retrying', 'done', 'failed')),
  attempts integer not null default 0,
  total_submitted integer not null,
  stored integer not null default 0,
  refused jsonb not null default '[]',
  rejected jsonb not null default '[]',
  readings jsonb,
  caller text not null,
  idempotency_key text,
  body_sha256 bytea not null,
  worker text,
  submitted_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  constraint reading_batches_idempotency_key unique (caller, idempotency_key)
);
create index reading_batches_unfinished_idx on reading_batches (submitted_at)
  where state in ('queued', 'running', 'retrying');
create index reading_batches_finished_idx on reading_batches (finished_at);

-- What is out of the ordinary ([H-23]): one row per kind, subject and hour, counted up. At most 10,000 rows are kept.
create table anomalies (
  id bigint generated always as identity primary key,
  kind text not null,
  subject text not null,
  meter_id text,
  occurrences integer not null,
  reason text not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  hour timestamptz not null,
  constraint anomalies_hour_key unique (kind, subject, hour)
);
create index anomalies_last_at_idx on anomalies (last_at desc, id desc);

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
  -- Of an operator's: the disputed payment that it credits.
  settles_id bigint constraint payments_settles_id_key unique
    constraint payments_settles_id_fkey references payments (id),
  constraint payments_money_check check (outcome not in ('accepted', 'suspense', 'reversal')
    or (receipt is not null and amount > 0 and currency is not null))
);
create unique index payments_receipt_key on payments (upper(receipt)) where outcome in ('accepted', 'suspense');
create unique index payments_callback_key on payments (callback_sha256) where outcome in ('failed', 'disputed');
create index payments_meter_idx on payments (meter_id, id desc);
create index payments_suspense_idx on payments (id) where outcome = 'suspense';
create index payments_outcome_idx on payments (outcome, id desc);
create index payments_received_idx on payments (received_at);
-- The unique one has no receipts of disputed payments and of reversals.
create index payments_receipt_idx on payments (upper(receipt));
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
  closed_at timestamptz,
  -- Of a success that we had to ask for, which has none at first: names its payment, too.
  receipt text
);
create index payment_prompts_ask_idx on payment_prompts (ask_at) where state in ('requested', 'open');
create unique index payment_prompts_receipt_key on payment_prompts (upper(receipt));
create index payment_prompts_meter_idx on payment_prompts (meter_id, requested_at);
-- Those on their way to the provider, of which a callback may overtake the answer.
create index payment_prompts_requested_idx on payment_prompts (requested_at) where state = 'requested';

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
  kind text not null constraint outbox_kind_check check (kind in ('balance')),
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
  -- What a balance command was sent for: a later wish leaves the row open when the meter confirms an earlier one.
  sent_revision integer,
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
  confirmed_at timestamptz,
  -- The meter's name in its own topics, when that is not its meter_id: its drn ([M-12]).
  topic_name text
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

-- Tokens on their way into meters. The token itself is never here: an HMAC under a key derived from MASTER_KEY says
-- whether two are the same, four digits remind people which one it was.
create table token_injections (
  id uuid primary key,
  -- As the caller wrote it, and the meter that it is.
  meter_number text not null,
  meter_id text not null,
  token_hash bytea not null,
  token_last4 text not null,
  status text not null default 'waiting' constraint token_injections_status_check
    check (status in ('waiting', 'success', 'failed', 'unanswered')),
  -- How far it came.
  phase text not null default 'requested' constraint token_injections_phase_check
    check (phase in ('requested', 'subscribed', 'sent', 'acknowledged', 'answered')),
  -- The code of what was answered when it was no success, why in the meter's words, and the sentence for people.
  code text,
  refusal text constraint token_injections_refusal_check
    check (refusal in ('used', 'expired', 'wrong_meter', 'failed')),
  reason text,
  injected_units numeric(14, 4) constraint token_injections_units_check check (injected_units >= 0),
  -- As the meter sent it; json, because jsonb would reorder it.
  answer json,
  vendor_status integer,
  vendor_attempts integer not null default 0,
  -- What the vendor calls it; the meter's answer, too, where it carries an id.
  message_id text,
  -- The meter answered after its time.
  late boolean not null default false,
  caller text not null,
  -- Which instance waits, and which run of it: a later run knows that nobody waits any more.
  instance text not null,
  run uuid not null,
  -- Whoever meets a waiting one past this time knows that nobody waits for it any more.
  deadline_at timestamptz not null,
  requested_at timestamptz not null,
  subscribed_at timestamptz,
  -- Null as long as the vendor cannot have it.
  sent_at timestamptz,
  acknowledged_at timestamptz,
  answered_at timestamptz,
  finished_at timestamptz,
  constraint token_injections_finished_check check ((status = 'waiting') = (finished_at is null)),
  constraint token_injections_success_check
    check (status <> 'success' or (injected_units is not null and answered_at is not null))
);
-- A token is booked once; one token at a time per meter, over all instances; one meter at a time per token.
create unique index token_injections_success_key on token_injections (token_hash) where status = 'success';
create unique index token_injections_meter_key on token_injections (meter_id) where status = 'waiting';
create unique index token_injections_token_key on token_injections (token_hash) where status = 'waiting';
create index token_injections_token_idx on token_injections (token_hash);
create index token_injections_meter_idx on token_injections (meter_id, requested_at desc);
create index token_injections_requested_idx on token_injections (requested_at desc, id);
create index token_injections_deadline_idx on token_injections (deadline_at) where status = 'waiting';

-- The mocks of real devices ([L-3]). A mock is a device of the registry, too, with mock = true; this table says whose
-- mock it is, which event was applied last, and what its register shows. The row of a mock that is gone stays, so that
-- an old event which comes again does not make it anew.
create table mock_devices (
  real_id text primary key constraint mock_devices_real_id_check check (real_id ~ '^[A-Za-z0-9_-]{1,40}$'),
  id text not null generated always as ('mock-real-' || real_id) stored constraint mock_devices_id_key unique,
  -- Of the event that was applied last; null: none is known.
  last_event_at timestamptz,
  -- False: only events told of the real device, and it is in somebody else's registry.
  in_registry boolean not null,
  gone boolean not null default false,
  -- The cumulative energy and the power at state_at; what was drawn since then follows from the load curve.
  energy_kwh numeric(20, 4) not null default 0,
  power_kw numeric(16, 3),
  state_at timestamptz not null default now(),
  -- End of the last quarter of an hour whose reading was acknowledged.
  read_until timestamptz,
  -- When its life began; anew when it comes back.
  born_at timestamptz not null default now()
) with (fillfactor = 80);

-- Whose process plays the mocks: one at a time, over all instances.
create table mock_world (
  only_one boolean primary key default true constraint mock_world_only_one_check check (only_one),
  held_by text not null,
  held_until timestamptz not null
);

-- What goes on to NATS JetStream ([L-2]): every accepted message of QoS 1 and 2, before its acknowledgement.
-- A lane is what one instance writes, in the order in which it acknowledges.
create table forward_lanes (
  lane integer generated always as identity primary key,
  -- INSTANCE_ID.
  name text not null constraint forward_lanes_name_key unique,
  -- Begins the message ids of what has no other identity.
  uid uuid not null default gen_random_uuid(),
  -- Of the last row of its journal, and how many messages there were up to it.
  last_id bigint not null default 0,
  total bigint not null default 0,
  -- Of the last row: a statement that is repeated, as nobody knows whether it was committed, finds itself here.
  last_write uuid,
  created_at timestamptz not null default now()
);

-- A row holds the messages of one commit, packed (src/forward/frame.ts). Partitioned by day of written_at (UTC).
create table forward_journal (
  lane integer not null,
  -- Without gaps, in the order of the commits.
  id bigint not null,
  messages integer not null,
  -- How many messages the lane had up to and with this row.
  total bigint not null,
  body bytea not null,
  written_at timestamptz not null,
  constraint forward_journal_pkey primary key (lane, id, written_at)
) partition by range (written_at);
-- Compressing costs more than it saves for a day.
alter table forward_journal alter column body set storage external;

-- How far a lane is forwarded: its last row is the cursor. The others say which journal row a stream that was shortened
-- begins to lack.
create table forward_marks (
  lane integer not null constraint forward_marks_lane_fkey references forward_lanes (lane) on delete cascade,
  id bigint not null,
  total bigint not null,
  stream text not null,
  stream_created text not null,
  stream_seq bigint not null,
  marked_at timestamptz not null default now(),
  constraint forward_marks_pkey primary key (lane, id)
);

-- Makes the partition of one UTC day, if it is missing. Concurrent callers wait for one another.
create function ensure_day_partition(parent regclass, day date) returns void language plpgsql as $$
declare
  partition_name text := format('%s_%s', parent::text, to_char(day, 'YYYYMMDD'));
begin
  -- TimescaleDB makes its chunks by itself.
  if to_regclass(partition_name) is not null
     or not exists (select from pg_partitioned_table p where p.partrelid = parent) then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended(partition_name, 0));
  execute format('create table if not exists %I partition of %s for values from (%L) to (%L)',
    partition_name, parent::text, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
  if parent = 'meter_readings'::regclass and
     -- Waits for a guard that is just being raised.
     (select s.guarded_until from meter_stats_state s for key share) > day then
    perform guard_readings(partition_name::regclass);
  end if;
end $$;

-- Drops the partitions of the days before this one. @returns how many there were
create function drop_day_partitions(parent regclass, before date) returns integer language plpgsql as $$
declare
  partition_name text;
  dropped integer := 0;
begin
  for partition_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = parent and right(c.relname, 8) < to_char(before, 'YYYYMMDD')
     order by 1
  loop
    execute format('drop table if exists %I', partition_name);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;

-- Statistics of readings by hour and by day (UTC): written down once for days that are over, and computed from the
-- readings for the others. Whatever changes in a day that is written down (a reading that comes late, a correction, a
-- deletion) is noted in the same transaction, and what is noted counts from the readings until it is written down anew.
-- So the views below are at every moment what a plain group by over meter_readings gives, and a writer of today's
-- readings does nothing for them.
create table meter_stats_hourly (
  meter_id text not null,
  hour_bucket timestamptz not null,
  reading_count integer not null,
  total_kwh numeric(20, 4) not null,
  min_kwh numeric(14, 4) not null,
  max_kwh numeric(14, 4) not null,
  constraint meter_stats_hourly_pkey primary key (meter_id, hour_bucket)
) partition by range (hour_bucket);

-- By owner at the time of the reading as well: a meter may change hands within a day.
create table meter_stats_daily (
  meter_id text not null,
  day_bucket timestamptz not null,
  user_id uuid,
  reading_count integer not null,
  total_kwh numeric(20, 4) not null,
  min_kwh numeric(14, 4) not null,
  max_kwh numeric(14, 4) not null,
  minted_count integer not null,
  minted_kwh numeric(20, 4) not null,
  constraint meter_stats_daily_key unique nulls not distinct (meter_id, day_bucket, user_id)
) partition by range (day_bucket);

-- Days before sealed_until are written down. Partitions of days before guarded_until note what changes in them, also
-- those that are made later. What is written down of days before kept_from is of readings that were dropped.
create table meter_stats_state (
  only_one boolean primary key default true constraint meter_stats_state_only_one_check check (only_one),
  sealed_until date not null default '-infinity',
  guarded_until date not null default '-infinity',
  kept_from date not null default '-infinity'
);
insert into meter_stats_state default values;

-- Meters whose statistics of a day have to be written down anew. The same one may be noted many times: a note that was
-- made before ours may be worked off without what we wrote.
create table meter_stats_changes (
  id bigint generated always as identity primary key,
  meter_id text not null,
  day date not null
);
create index meter_stats_changes_idx on meter_stats_changes (meter_id, day);

create function note_reading_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'TRUNCATE' then
    insert into meter_stats_changes (meter_id, day)
    select distinct s.meter_id, to_date(right(tg_table_name, 8), 'YYYYMMDD') from meter_stats_daily s
     where s.day_bucket = to_date(right(tg_table_name, 8), 'YYYYMMDD')::timestamp at time zone 'UTC';
    return null;
  end if;
  if tg_op <> 'INSERT' then
    insert into meter_stats_changes (meter_id, day)
    values (old.meter_id, (old.reading_timestamp at time zone 'UTC')::date);
  end if;
  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and
      (new.meter_id, new.reading_timestamp) is distinct from (old.meter_id, old.reading_timestamp)) then
    insert into meter_stats_changes (meter_id, day)
    values (new.meter_id, (new.reading_timestamp at time zone 'UTC')::date);
  end if;
  return null;
end $$;

-- From here on this partition notes what changes in it. Waits for those who are writing into it.
create function guard_readings(partition_name regclass) returns void language plpgsql as $$
begin
  execute format('create or replace trigger readings_noted
      after insert or delete or update of meter_id, reading_timestamp, kwh_amount, user_id, minted on %s
      for each row execute function note_reading_change()', partition_name);
  execute format('create or replace trigger readings_emptied before truncate on %s
      for each statement execute function note_reading_change()', partition_name);
end $$;

-- The days (UTC) of a table that is partitioned by day.
create function day_partitions(parent regclass) returns table (day date, partition_name regclass)
language sql stable as $$
  select to_date(right(c.relname, 8), 'YYYYMMDD'), c.oid::regclass
    from pg_partitioned_table p
    join pg_inherits i on i.inhparent = p.partrelid
    join pg_class c on c.oid = i.inhrelid
   where p.partrelid = parent and c.relname ~ '_\d{8}$'
$$;

-- Begins to note what changes in the days before this one.
create function guard_days_before(before date) returns void language plpgsql as $$
declare
  guarded date;
begin
  select s.guarded_until into guarded from meter_stats_state s for update;
  if guarded >= before then
    return;
  end if;
  perform guard_readings(d.partition_name) from day_partitions('meter_readings') d
    where d.day >= guarded and d.day < before order by d.day;
  update meter_stats_state set guarded_until = before;
end $$;

-- Makes the partition of one month (UTC) of a table of statistics, if it is missing.
create function ensure_month_partition(parent regclass, month date) returns void language plpgsql as $$
declare
  begins date := date_trunc('month', month)::date;
  partition_name text := format('%s_%s', parent::text, to_char(month, 'YYYYMM'));
begin
  if to_regclass(partition_name) is null then
    execute format('create table if not exists %I partition of %s for values from (%L) to (%L)', partition_name,
      parent::text, begins::text || ' 00:00:00+00', (begins + interval '1 month')::date::text || ' 00:00:00+00');
  end if;
end $$;

-- Writes down the statistics of a guarded day; every earlier day must be written down. One at a time.
create function seal_day(sealed date) returns void language plpgsql as $$
declare
  begins timestamptz := sealed::timestamp at time zone 'UTC';
  ends timestamptz := (sealed + 1)::timestamp at time zone 'UTC';
begin
  perform ensure_month_partition('meter_stats_hourly', sealed);
  perform ensure_month_partition('meter_stats_daily', sealed);
  -- Dynamic, so that the plan knows the one partition.
  execute format('insert into meter_stats_hourly (meter_id, hour_bucket, reading_count, total_kwh, min_kwh, max_kwh)
    select r.meter_id, date_trunc(''hour'', r.reading_timestamp, ''UTC''), count(*), sum(r.kwh_amount),
           min(r.kwh_amount), max(r.kwh_amount)
      from meter_readings r where r.reading_timestamp >= %L and r.reading_timestamp < %L
     group by 1, 2 order by 1, 2', begins, ends);
  execute format('insert into meter_stats_daily
      (meter_id, day_bucket, user_id, reading_count, total_kwh, min_kwh, max_kwh, minted_count, minted_kwh)
    select r.meter_id, %L, r.user_id, count(*), sum(r.kwh_amount), min(r.kwh_amount), max(r.kwh_amount),
           count(*) filter (where r.minted), coalesce(sum(r.kwh_amount) filter (where r.minted), 0)
      from meter_readings r where r.reading_timestamp >= %L and r.reading_timestamp < %L
     group by 1, 3 order by 1, 3', begins, begins, ends);
  update meter_stats_state set sealed_until = sealed + 1;
end $$;

-- What is noted is worked off: written down anew, from the readings of the same snapshot. At most so many notes at a
-- time, one caller at a time. A late reading of a day that was dropped stays noted. @returns how many there were
create function write_changes_down(notes_max integer) returns integer language plpgsql as $$
declare
  worked_off integer;
begin
  perform ensure_month_partition('meter_stats_hourly', c.month), ensure_month_partition('meter_stats_daily', c.month)
     from (select distinct date_trunc('month', c.day)::date as month from meter_stats_changes c) c;
  with noted as materialized (
    select c.id, c.meter_id, c.day from meter_stats_changes c, meter_stats_state s
     where c.day >= s.kept_from and c.day < s.sealed_until order by c.id limit notes_max
  ), changed as materialized (
    select distinct n.meter_id, n.day, n.day::timestamp at time zone 'UTC' as begins,
           (n.day + 1)::timestamp at time zone 'UTC' as ends
      from noted n
  ), readings as materialized (
    select r.meter_id, c.begins as day_bucket, date_trunc('hour', r.reading_timestamp, 'UTC') as hour_bucket,
           r.user_id, r.kwh_amount, r.minted
      from changed c cross join lateral (
        select m.meter_id, m.reading_timestamp, m.user_id, m.kwh_amount, m.minted from meter_readings m
         where m.meter_id = c.meter_id and m.reading_timestamp >= c.begins and m.reading_timestamp < c.ends
        offset 0) r
  ), hours as materialized (
    select r.meter_id, r.hour_bucket, count(*) as reading_count, sum(r.kwh_amount) as total_kwh,
           min(r.kwh_amount) as min_kwh, max(r.kwh_amount) as max_kwh
      from readings r group by 1, 2
  ), days as materialized (
    select r.meter_id, r.day_bucket, r.user_id, count(*) as reading_count, sum(r.kwh_amount) as total_kwh,
           min(r.kwh_amount) as min_kwh, max(r.kwh_amount) as max_kwh,
           count(*) filter (where r.minted) as minted_count,
           coalesce(sum(r.kwh_amount) filter (where r.minted), 0) as minted_kwh
      from readings r group by 1, 2, 3
  ), hours_gone as (
    delete from meter_stats_hourly s using changed c
     where s.meter_id = c.meter_id and s.hour_bucket >= c.begins and s.hour_bucket < c.ends
       and not exists (select from hours h where h.meter_id = s.meter_id and h.hour_bucket = s.hour_bucket)
  ), days_gone as (
    delete from meter_stats_daily s using changed c
     where s.meter_id = c.meter_id and s.day_bucket = c.begins
       and not exists (select from days d where d.meter_id = s.meter_id and d.day_bucket = s.day_bucket
                                            and d.user_id is not distinct from s.user_id)
  ), hours_written as (
    insert into meter_stats_hourly as s (meter_id, hour_bucket, reading_count, total_kwh, min_kwh, max_kwh)
    select h.meter_id, h.hour_bucket, h.reading_count, h.total_kwh, h.min_kwh, h.max_kwh from hours h
    on conflict (meter_id, hour_bucket) do update
      set reading_count = excluded.reading_count, total_kwh = excluded.total_kwh,
          min_kwh = excluded.min_kwh, max_kwh = excluded.max_kwh
  ), days_written as (
    insert into meter_stats_daily as s (meter_id, day_bucket, user_id, reading_count, total_kwh, min_kwh, max_kwh,
                                        minted_count, minted_kwh)
    select d.meter_id, d.day_bucket, d.user_id, d.reading_count, d.total_kwh, d.min_kwh, d.max_kwh, d.minted_count,
           d.minted_kwh
      from days d
    on conflict (meter_id, day_bucket, user_id) do update
      set reading_count = excluded.reading_count, total_kwh = excluded.total_kwh, min_kwh = excluded.min_kwh,
          max_kwh = excluded.max_kwh, minted_count = excluded.minted_count, minted_kwh = excluded.minted_kwh
  ), gone as (
    delete from meter_stats_changes c using noted n where c.id = n.id returning c.id
  )
  select count(*) into worked_off from gone;
  return worked_off;
end $$;

-- Drops the partitions of a table's days before this one. @returns how many there were
create function drop_days_before(parent regclass, before date) returns integer language plpgsql as $$
declare
  old record;
  dropped integer := 0;
begin
  for old in select d.partition_name from day_partitions(parent) d where d.day < before order by d.day loop
    execute format('drop table %s', old.partition_name);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;

-- The same for readings, and with them what is written down of these days: also of those whose partitions somebody
-- dropped by hand.
create function drop_readings_before(before date) returns integer language plpgsql as $$
declare
  dropped integer := drop_days_before('meter_readings', before);
  old record;
begin
  update meter_stats_state set kept_from = before where kept_from < before;
  delete from meter_stats_changes c where c.day < before;
  for old in
    select i.inhrelid::regclass as partition_name from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent in ('meter_stats_hourly'::regclass, 'meter_stats_daily'::regclass)
       and c.relname ~ '_\d{6}$' and right(c.relname, 6) < to_char(before, 'YYYYMM')
  loop
    execute format('drop table %s', old.partition_name);
  end loop;
  if dropped > 0 then
    perform pg_notify('answers_changed', '- *');
  end if;
  return dropped;
end $$;

-- Mocks stay out of statistics ([L-3]), also when they are gone from the registry.
create view mock_meters as
  select d.meter_id from devices d where d.mock
  union
  select m.id from mock_devices m;

-- Whose a meter is or ever was: finds the readings of a user without an index on their user_id.
create table meter_owners (
  user_id uuid not null constraint meter_owners_user_id_fkey references users (id) on delete cascade,
  meter_id text not null,
  constraint meter_owners_pkey primary key (user_id, meter_id)
);
create function keep_meter_owners() returns trigger language plpgsql as $$
begin
  insert into meter_owners (user_id, meter_id)
  select d.user_id, d.meter_id from devices_now d where d.user_id is not null
  on conflict on constraint meter_owners_pkey do nothing;
  return null;
end $$;
create trigger devices_owned after insert on devices
  referencing new table as devices_now for each statement execute function keep_meter_owners();
create trigger devices_owned_anew after update on devices
  referencing new table as devices_now for each statement execute function keep_meter_owners();

-- Readings by meter and hour (UTC), mocks left out: what is written down, less what was noted since; what was noted, from
-- the readings; and days that are not written down yet.
create view meter_hourly_stats as
select h.meter_id, h.hour_bucket, h.reading_count, h.total_kwh, round(h.total_kwh / h.reading_count, 4) as avg_kwh,
       h.min_kwh, h.max_kwh
  from (
    select s.meter_id, s.hour_bucket, s.reading_count::bigint as reading_count, s.total_kwh, s.min_kwh, s.max_kwh
      from meter_stats_hourly s
     where s.hour_bucket >= (select state.kept_from::timestamp at time zone 'UTC' from meter_stats_state state)
       and s.hour_bucket < (select state.sealed_until::timestamp at time zone 'UTC' from meter_stats_state state)
       and not exists (select from meter_stats_changes c
                        where c.meter_id = s.meter_id and c.day = (s.hour_bucket at time zone 'UTC')::date)
    union all
    select c.meter_id, date_trunc('hour', r.reading_timestamp, 'UTC'), count(*), sum(r.kwh_amount), min(r.kwh_amount),
           max(r.kwh_amount)
      from (select distinct n.meter_id, n.day from meter_stats_changes n, meter_stats_state state
             where n.day < state.sealed_until) c
      -- offset 0: for few notes the planner would rather read every partition.
      cross join lateral (
        select m.reading_timestamp, m.kwh_amount from meter_readings m
         where m.meter_id = c.meter_id and m.reading_timestamp >= c.day::timestamp at time zone 'UTC'
           and m.reading_timestamp < (c.day + 1)::timestamp at time zone 'UTC'
        offset 0) r
     group by 1, 2
    union all
    select r.meter_id, date_trunc('hour', r.reading_timestamp, 'UTC'), count(*), sum(r.kwh_amount), min(r.kwh_amount),
           max(r.kwh_amount)
      from meter_readings r
     where r.reading_timestamp >= (select state.sealed_until::timestamp at time zone 'UTC' from meter_stats_state state)
     group by 1, 2
  ) h
 where not exists (select from mock_meters m where m.meter_id = h.meter_id);

-- The same by day (UTC).
create view meter_daily_stats as
select d.meter_id, d.day_bucket, d.reading_count, d.total_kwh, round(d.total_kwh / d.reading_count, 4) as avg_kwh,
       d.min_kwh, d.max_kwh
  from (
    select s.meter_id, s.day_bucket, sum(s.reading_count)::bigint as reading_count, sum(s.total_kwh) as total_kwh,
           min(s.min_kwh) as min_kwh, max(s.max_kwh) as max_kwh
      from meter_stats_daily s
     where s.day_bucket >= (select state.kept_from::timestamp at time zone 'UTC' from meter_stats_state state)
       and s.day_bucket < (select state.sealed_until::timestamp at time zone 'UTC' from meter_stats_state state)
       and not exists (select from meter_stats_changes c
                        where c.meter_id = s.meter_id and c.day = (s.day_bucket at time zone 'UTC')::date)
     group by 1, 2
    union all
    select c.meter_id, c.day::timestamp at time zone 'UTC', count(*), sum(r.kwh_amount), min(r.kwh_amount),
           max(r.kwh_amount)
      from (select distinct n.meter_id, n.day from meter_stats_changes n, meter_stats_state state
             where n.day < state.sealed_until) c
      -- offset 0: for few notes the planner would rather read every partition.
      cross join lateral (
        select m.reading_timestamp, m.kwh_amount from meter_readings m
         where m.meter_id = c.meter_id and m.reading_timestamp >= c.day::timestamp at time zone 'UTC'
           and m.reading_timestamp < (c.day + 1)::timestamp at time zone 'UTC'
        offset 0) r
     group by 1, 2
    union all
    select r.meter_id, date_trunc('day', r.reading_timestamp, 'UTC'), count(*), sum(r.kwh_amount), min(r.kwh_amount),
           max(r.kwh_amount)
      from meter_readings r
     where r.reading_timestamp >= (select state.sealed_until::timestamp at time zone 'UTC' from meter_stats_state state)
     group by 1, 2
  ) d
 where not exists (select from mock_meters m where m.meter_id = d.meter_id);

-- The minting hand-off ([H-16]): one request per reading, and the outbox of what goes to the minting service in one. A
-- reading is its meter and its time, also when it is stored anew under another id.
create table mint_requests (
  id uuid primary key default gen_random_uuid(),
  meter_id text not null,
  reading_timestamp timestamptz not null,
  reading_id bigint not null,
  -- Made of meter and time, so that a request that was lost with a database gets the same one again.
  idempotency_key text not null constraint mint_requests_idempotency_key unique,
  user_id uuid,
  wallet_address text not null,
  kwh_amount numeric(14, 4) not null,
  state text not null default 'waiting' constraint mint_requests_state_check
    check (state in ('waiting', 'minted', 'refused', 'abandoned')),
  -- The service may have minted it: it is asked before anything is sent again.
  in_doubt boolean not null default false,
  attempts integer not null default 0,
  reason text,
  tx_signature text,
  caller text not null,
  requested_at timestamptz not null default now(),
  next_at timestamptz not null default now(),
  deadline_at timestamptz not null,
  claimed_by text,
  claimed_until timestamptz,
  finished_at timestamptz,
  -- Null: still to be worked at, or its end still to be told.
  told_at timestamptz,
  constraint mint_requests_reading_key unique (meter_id, reading_timestamp),
  constraint mint_requests_signature_check check ((state = 'minted') = (tx_signature is not null))
);
create index mint_requests_open_idx on mint_requests (next_at, id) where told_at is null;
create index mint_requests_requested_idx on mint_requests (requested_at desc, id);

-- Readings that carry a wallet of their own; the others are their owner's, and cost the store nothing here.
create index meter_readings_wallet_idx on meter_readings (wallet_address, reading_timestamp)
  where wallet_address is not null and not minted;
create index users_wallet_idx on users (wallet_address) where wallet_address is not null;

-- Keys of machines.
create table api_keys (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint api_keys_name_key unique,
  -- SHA-256 of the key: it is random (256 bit), so nothing slower is needed.
  key_digest bytea not null constraint api_keys_digest_key unique,
  -- How a key begins, so that people know which one it is.
  hint text not null,
  scopes text[] not null,
  -- Null: the key acts for the operator's house; else it sees what this account sees, within its scopes.
  user_id uuid constraint api_keys_user_id_fkey references users (id) on delete cascade,
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  -- To the minute.
  last_used_at timestamptz
);
create index api_keys_user_idx on api_keys (user_id) where user_id is not null;

-- Points by key, as rate-limiter-flexible keeps them: rate limits of several instances without Redis, and failed logins.
create unlogged table rate_limits (
  key text primary key,
  points integer not null default 0,
  -- Unix ms; null: for ever.
  expire bigint
);
create index rate_limits_expire_idx on rate_limits (expire);

-- Instances of one database must have one MASTER_KEY: an HMAC under it, never the key, by which another one is noticed.
create table master_key_check (
  sole boolean primary key default true constraint master_key_check_sole_check check (sole),
  check_value bytea not null,
  noted_at timestamptz not null default now()
);

-- Tells every instance whose answers it must not give from its cache any more. What Meterflow stores by itself it tells
-- by itself, after the commit: a commit that notifies waits for every other one that does. Everything else is told of
-- from here: m: and a meter_id, u: and the id of a user, or * for everything.
create function notify_answers_changed() returns trigger language plpgsql as $$
begin
  perform pg_notify('answers_changed', '- *');
  return null;
end $$;

create function notify_reading_changed() returns trigger language plpgsql as $$
begin
  -- The same twice in a transaction is told once.
  perform pg_notify('answers_changed', '- m:' || old.meter_id || coalesce(' u:' || old.user_id::text, ''));
  if tg_op = 'UPDATE' and (new.meter_id, new.user_id) is distinct from (old.meter_id, old.user_id) then
    perform pg_notify('answers_changed', '- m:' || new.meter_id || coalesce(' u:' || new.user_id::text, ''));
  end if;
  return null;
end $$;

create function notify_user_gone() returns trigger language plpgsql as $$
begin
  perform pg_notify('answers_changed', '- u:' || old.id::text);
  return null;
end $$;

-- Also for a table that takes the place of this one.
create function watch_readings() returns void language plpgsql as $$
begin
  create trigger readings_changed after update or delete on meter_readings
    for each row execute function notify_reading_changed();
  -- The store says in its transaction that it tells of it.
  create trigger readings_added after insert on meter_readings
    for each statement when (current_setting('meterflow.announced', true) is distinct from 'on')
    execute function notify_answers_changed();
  create trigger readings_truncated after truncate on meter_readings
    for each statement execute function notify_answers_changed();
end $$;
select watch_readings();

create trigger users_gone after delete on users
  for each row execute function notify_user_gone();
-- Mocks stay out of statistics.
create trigger devices_mocked after update of mock on devices
  for each statement execute function notify_answers_changed();

-- The whole schema, to be read. The database is built by migrations/*.sql; a test holds the two equal.

-- Accounts of people. Password hashes and roles are used by the doors; `demo` is created at start in the demo profile.
create table users (
  id uuid primary key default gen_random_uuid(),
  email text not null constraint users_email_key unique,
  role text not null default 'prosumer' constraint users_role_check check (role in ('admin', 'operator', 'prosumer')),
  wallet_address text,
  password_hash text,
  created_at timestamptz not null default now()
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
  updated_at timestamptz not null default now()
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

-- Makes the partition of one UTC day, if it is missing. Concurrent callers wait for one another.
create function ensure_day_partition(parent regclass, day date) returns void language plpgsql as $$
declare
  partition_name text := format('%s_%s', parent::text, to_char(day, 'YYYYMMDD'));
begin
  if to_regclass(partition_name) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended(partition_name, 0));
  execute format('create table if not exists %I partition of %s for values from (%L) to (%L)',
    partition_name, parent::text, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
end $$;

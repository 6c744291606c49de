-- A password that was rotated stays valid until then, so that a meter has the time to learn the new one.
alter table devices
  add column previous_password_hash bytea,
  add column previous_password_until timestamptz;

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

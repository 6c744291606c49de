-- Instances of one database must have one MASTER_KEY: an HMAC under it, never the key, by which another one is noticed.
create table master_key_check (
  sole boolean primary key default true constraint master_key_check_sole_check check (sole),
  check_value bytea not null,
  noted_at timestamptz not null default now()
);

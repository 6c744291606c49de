-- Who may call: accounts that log in, keys of machines, and what limits and lock-outs count.
alter table users
  add column disabled_at timestamptz,
  -- Tokens made before this are void: after another password, another role, or "log out everywhere".
  add column tokens_from timestamptz not null default '-infinity',
  add column last_login_at timestamptz;

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

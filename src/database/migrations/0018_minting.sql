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

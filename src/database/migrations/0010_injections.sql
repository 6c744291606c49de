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

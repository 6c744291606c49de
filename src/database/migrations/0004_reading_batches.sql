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

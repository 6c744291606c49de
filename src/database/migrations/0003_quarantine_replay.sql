-- What the last replay of a quarantined message came to. stored and duplicate are final; a refused one may be tried again.
alter table quarantined_messages
  add column replay_code text,
  add column replay_reason text,
  add constraint quarantined_messages_replay_outcome_check
    check (replay_outcome in ('stored', 'duplicate', 'refused'));

-- The desk's counts by code come from this index alone.
create index quarantined_messages_code_idx on quarantined_messages (code, quarantined_at desc) include (replay_outcome);

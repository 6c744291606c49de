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

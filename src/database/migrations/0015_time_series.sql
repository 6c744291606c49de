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

-- Makes the partition of one UTC day, if it is missing. Concurrent callers wait for one another.
create or replace function ensure_day_partition(parent regclass, day date) returns void language plpgsql as $$
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
insert into meter_owners (user_id, meter_id)
select d.user_id, d.meter_id from devices d where d.user_id is not null
union
select r.user_id, r.meter_id from meter_readings r join users u on u.id = r.user_id;

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

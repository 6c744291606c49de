-- Tells every instance whose answers it must not give from its cache any more. What Meterflow stores by itself it tells
-- by itself, after the commit: a commit that notifies waits for every other one that does. Everything else is told of
-- from here: m: and a meter_id, u: and the id of a user, or * for everything.
create function notify_answers_changed() returns trigger language plpgsql as $$
begin
  perform pg_notify('answers_changed', '- *');
  return null;
end $$;

create function notify_reading_changed() returns trigger language plpgsql as $$
begin
  -- The same twice in a transaction is told once.
  perform pg_notify('answers_changed', '- m:' || old.meter_id || coalesce(' u:' || old.user_id::text, ''));
  if tg_op = 'UPDATE' and (new.meter_id, new.user_id) is distinct from (old.meter_id, old.user_id) then
    perform pg_notify('answers_changed', '- m:' || new.meter_id || coalesce(' u:' || new.user_id::text, ''));
  end if;
  return null;
end $$;

create function notify_user_gone() returns trigger language plpgsql as $$
begin
  perform pg_notify('answers_changed', '- u:' || old.id::text);
  return null;
end $$;

-- Also for a table that takes the place of this one.
create function watch_readings() returns void language plpgsql as $$
begin
  create trigger readings_changed after update or delete on meter_readings
    for each row execute function notify_reading_changed();
  -- The store says in its transaction that it tells of it.
  create trigger readings_added after insert on meter_readings
    for each statement when (current_setting('meterflow.announced', true) is distinct from 'on')
    execute function notify_answers_changed();
  create trigger readings_truncated after truncate on meter_readings
    for each statement execute function notify_answers_changed();
end $$;
select watch_readings();

create trigger users_gone after delete on users
  for each row execute function notify_user_gone();
-- Mocks stay out of statistics.
create trigger devices_mocked after update of mock on devices
  for each statement execute function notify_answers_changed();

-- Drops the days before this one, and what is written down of them: also of those whose partitions somebody dropped by
-- hand.
create or replace function drop_readings_before(before date) returns integer language plpgsql as $$
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
  if dropped > 0 then
    perform pg_notify('answers_changed', '- *');
  end if;
  return dropped;
end $$;

-- What happened to devices: the log and the outbox of device events in one ([M-8], [L-4]).
create table device_events (
  id bigint generated always as identity primary key,
  device_id text not null,
  event_type text not null constraint device_events_type_check
    check (event_type in ('device.created', 'device.updated', 'device.deleted')),
  -- Rises strictly per device, whatever the clock does.
  occurred_at timestamptz not null,
  device_data jsonb not null,
  -- Null: open, still to leave.
  published_at timestamptz,
  claimed_by text,
  claimed_until timestamptz,
  attempts integer not null default 0
) with (fillfactor = 80);
create index device_events_open_idx on device_events (id) where published_at is null;
create index device_events_device_idx on device_events (device_id, id desc);
create index device_events_occurred_idx on device_events using brin (occurred_at) with (pages_per_range = 32);

-- What others may know of a device. Texts are cut, so that no event outgrows what a broker takes in one packet.
create function device_event_data(
  id text, name text, type text, location text, status text, base_power numeric, base_voltage numeric, meter_id text,
  drn text, created_at timestamptz, updated_at timestamptz
) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'id', id, 'name', left(name, 1000), 'type', type, 'location', left(location, 1000), 'status', left(status, 1000),
    'base_power', base_power, 'base_voltage', base_voltage, 'meter_id', meter_id, 'drn', left(drn, 1000),
    'created_at', to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'updated_at', to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;

-- Writes the events of one statement, in its transaction: a change by the API and a change in SQL are the same. Mock
-- devices have none ([L-3]). A device whose id changes, or which becomes a mock, is gone for others. The full join
-- keeps its plan good for one row and for 10,000. An event comes after the last one of its device, also by a clock that
-- was set back; the change holds the lock of the device's row.
create function log_device_events() returns trigger language plpgsql set enable_seqscan = off as $$
begin
  if tg_op = 'INSERT' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, 'device.created',
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           device_event_data(d.id, d.name, d.type, d.location, d.status, d.base_power, d.base_voltage, d.meter_id,
                             d.drn, d.created_at, d.updated_at)
      from devices_now d where not d.mock order by d.id;
  elsif tg_op = 'DELETE' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, 'device.deleted',
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           device_event_data(d.id, d.name, d.type, d.location, d.status, d.base_power, d.base_voltage, d.meter_id,
                             d.drn, d.created_at, d.updated_at)
      from devices_before d where not d.mock order by d.id;
  elsif tg_op = 'TRUNCATE' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, 'device.deleted',
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           device_event_data(d.id, d.name, d.type, d.location, d.status, d.base_power, d.base_voltage, d.meter_id,
                             d.drn, d.created_at, d.updated_at)
      from devices d where not d.mock order by d.id;
  else
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select d.id, d.event_type,
           greatest(clock_timestamp(), (select l.occurred_at + interval '1 microsecond' from device_events l
                                         where l.device_id = d.id order by l.id desc limit 1)),
           d.device_data
      from (select coalesce(n.id, o.id) as id,
                   case when o.id is null then 'device.created' when n.id is null then 'device.deleted'
                        else 'device.updated' end as event_type,
                   case when n.id is null
                        then device_event_data(o.id, o.name, o.type, o.location, o.status, o.base_power,
                                               o.base_voltage, o.meter_id, o.drn, o.created_at, o.updated_at)
                        else device_event_data(n.id, n.name, n.type, n.location, n.status, n.base_power,
                                               n.base_voltage, n.meter_id, n.drn, n.created_at, n.updated_at)
                    end as device_data
              from (select b.* from devices_before b where not b.mock) o
              full join (select a.* from devices_now a where not a.mock) n on n.id = o.id
             where o.id is null or n.id is null
                or (n.type, n.name, n.location, n.status, n.base_power, n.base_voltage, n.meter_id, n.drn, n.user_id,
                    n.tariff_plan)
                   is distinct from
                   (o.type, o.name, o.location, o.status, o.base_power, o.base_voltage, o.meter_id, o.drn, o.user_id,
                    o.tariff_plan)) d
     order by d.id;
  end if;
  -- Commits that notify wait for one another, each for its own turn at the disk (200/s instead of 2,800 in a trial). So
  -- nobody is woken who must be awake: a relay looks again and again for longer than a second after it found an event.
  if found and not exists (select from device_events e
                            where e.published_at is null and e.xmin <> pg_current_xact_id()::xid
                              and e.occurred_at > clock_timestamp() - interval '1 second') then
    perform pg_notify('device_events_changed', '');
  end if;
  return null;
end $$;
create trigger devices_created after insert on devices
  referencing new table as devices_now for each statement execute function log_device_events();
create trigger devices_updated after update on devices
  referencing old table as devices_before new table as devices_now
  for each statement execute function log_device_events();
create trigger devices_deleted after delete on devices
  referencing old table as devices_before for each statement execute function log_device_events();
create trigger devices_truncated before truncate on devices
  for each statement execute function log_device_events();

-- Takes open events, the oldest first, for so many seconds. An event is taken only when no earlier one of its device is
-- under way anywhere: so several relays keep the order of each device. One claims at a time; a function, so that what the
-- one before has claimed is seen in one way to the server and back, and nobody who stands still holds the lock. Looked
-- at are ten times as many as wanted, so that several relays find work side by side. Nobody waits for the disk: a claim
-- that is lost in a crash means an event twice, not none.
create function claim_device_events(most integer, claimer text, seconds integer) returns setof device_events
  language plpgsql set enable_seqscan = off set enable_bitmapscan = off as $$
begin
  perform set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(7306135212);
  return query
    with open as materialized (
      select e.id, e.device_id, coalesce(e.claimed_until > clock_timestamp(), false) as taken
        from device_events e where e.published_at is null order by e.id limit most * 10
    ), judged as (
      select o.id, o.taken, min(o.id) filter (where o.taken) over (partition by o.device_id) as first_taken from open o
    ), ready as (
      select e.id from device_events e
       where e.id in (select j.id from judged j where not j.taken and (j.first_taken is null or j.id < j.first_taken)
                       order by j.id limit most)
       order by e.id for update skip locked
    )
    update device_events e
       set claimed_by = claimer, claimed_until = clock_timestamp() + seconds * interval '1 second',
           attempts = e.attempts + 1
      from ready where e.id = ready.id
    returning e.*;
end $$;

-- The log begins with what there is, so that whoever reads it from the beginning knows every device.
insert into device_events (device_id, event_type, occurred_at, device_data)
select d.id, 'device.created', clock_timestamp(),
       device_event_data(d.id, d.name, d.type, d.location, d.status, d.base_power, d.base_voltage, d.meter_id, d.drn,
                         d.created_at, d.updated_at)
  from devices d where not d.mock order by d.created_at, d.id;

-- They have a table of their own.
alter table outbox drop constraint outbox_kind_check, add constraint outbox_kind_check check (kind in ('balance'));

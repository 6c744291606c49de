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
create function device_event_data(device jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'id', device->'id',
    'name', to_jsonb(left(device->>'name', 1000)),
    'type', device->'type',
    'location', to_jsonb(left(device->>'location', 1000)),
    'status', to_jsonb(left(device->>'status', 1000)),
    'base_power', device->'base_power',
    'base_voltage', device->'base_voltage',
    'meter_id', device->'meter_id',
    'drn', to_jsonb(left(device->>'drn', 1000)),
    'created_at', to_char((device->>'created_at')::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'updated_at', to_char((device->>'updated_at')::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;

-- When the next event of a device is: now, but after its last one. The caller holds the lock of the device's row.
create function next_device_event_at(device text) returns timestamptz language sql volatile as $$
  select greatest(clock_timestamp(), (select last.occurred_at + interval '1 microsecond' from device_events last
                                       where last.device_id = device order by last.id desc limit 1))
$$;

-- Writes the events of one statement, in its transaction: a change by the API and a change in SQL are the same. Mock
-- devices have none ([L-3]). A device whose id changes, or which becomes a mock, is gone for others. The full join
-- keeps its plan good for one row and for 10,000.
create function log_device_events() returns trigger language plpgsql set enable_seqscan = off as $$
begin
  if tg_op = 'INSERT' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select now.id, 'device.created', next_device_event_at(now.id), device_event_data(to_jsonb(now))
      from devices_now now where not now.mock order by now.id;
  elsif tg_op = 'DELETE' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select was.id, 'device.deleted', next_device_event_at(was.id), device_event_data(to_jsonb(was))
      from devices_before was where not was.mock order by was.id;
  elsif tg_op = 'TRUNCATE' then
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select was.id, 'device.deleted', next_device_event_at(was.id), device_event_data(to_jsonb(was))
      from devices was where not was.mock order by was.id;
  else
    insert into device_events (device_id, event_type, occurred_at, device_data)
    select changed.id, changed.event_type, next_device_event_at(changed.id), device_event_data(changed.device)
      from (select coalesce(now.id, was.id) as id,
                   case when was.id is null then 'device.created' when now.id is null then 'device.deleted'
                        else 'device.updated' end as event_type,
                   coalesce(to_jsonb(now), to_jsonb(was)) as device
              from (select b.* from devices_before b where not b.mock) was
              full join (select n.* from devices_now n where not n.mock) now on now.id = was.id
             where was.id is null or now.id is null
                or (now.type, now.name, now.location, now.status, now.base_power, now.base_voltage, now.meter_id,
                    now.drn, now.user_id, now.tariff_plan)
                   is distinct from
                   (was.type, was.name, was.location, was.status, was.base_power, was.base_voltage, was.meter_id,
                    was.drn, was.user_id, was.tariff_plan)) changed
     order by changed.id;
  end if;
  if found then
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

-- The log begins with what there is, so that whoever reads it from the beginning knows every device.
insert into device_events (device_id, event_type, occurred_at, device_data)
select d.id, 'device.created', clock_timestamp(), device_event_data(to_jsonb(d))
  from devices d where not d.mock order by d.created_at, d.id;

-- They have a table of their own.
alter table outbox drop constraint outbox_kind_check, add constraint outbox_kind_check check (kind in ('balance'));

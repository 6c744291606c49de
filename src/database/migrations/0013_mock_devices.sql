-- The mocks of real devices ([L-3]). A mock is a device of the registry, too, with mock = true; this table says whose
-- mock it is, which event was applied last, and what its register shows. The row of a mock that is gone stays, so that
-- an old event which comes again does not make it anew.
create table mock_devices (
  real_id text primary key constraint mock_devices_real_id_check check (real_id ~ '^[A-Za-z0-9_-]{1,40}$'),
  id text not null generated always as ('mock-real-' || real_id) stored constraint mock_devices_id_key unique,
  -- Of the event that was applied last; null: none is known.
  last_event_at timestamptz,
  -- False: only events told of the real device, and it is in somebody else's registry.
  in_registry boolean not null,
  gone boolean not null default false,
  -- The cumulative energy and the power at state_at; what was drawn since then follows from the load curve.
  energy_kwh numeric(20, 4) not null default 0,
  power_kw numeric(16, 3),
  state_at timestamptz not null default now(),
  -- End of the last quarter of an hour whose reading was acknowledged.
  read_until timestamptz,
  -- When its life began; anew when it comes back.
  born_at timestamptz not null default now()
) with (fillfactor = 80);

-- Whose process plays the mocks: one at a time, over all instances.
create table mock_world (
  only_one boolean primary key default true constraint mock_world_only_one_check check (only_one),
  held_by text not null,
  held_until timestamptz not null
);

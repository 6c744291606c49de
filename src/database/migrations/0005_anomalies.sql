-- What is out of the ordinary ([H-23]): one row per kind, subject and hour, counted up. At most 10,000 rows are kept.
create table anomalies (
  id bigint generated always as identity primary key,
  kind text not null,
  subject text not null,
  meter_id text,
  occurrences integer not null,
  reason text not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  hour timestamptz not null,
  constraint anomalies_hour_key unique (kind, subject, hour)
);
create index anomalies_last_at_idx on anomalies (last_at desc, id desc);

import type { Database, Session } from '../database/database.js';

/**
 * TimescaleDB in place of our own partitions and of what we write down: hypertables, continuous aggregates with the
 * names and columns of our tables of statistics, compression, retention. The views and every question stay the same.
 * Written after https://www.tigerdata.com/docs/reference/timescaledb (2.x); see the README for what was run.
 */
export type Storage = 'partitions' | 'hypertables';

export async function findStorage(session: Session): Promise<{ installed: boolean; storage: Storage }> {
  const { rows } = await session.query<{ installed: boolean; partitioned: boolean }>({
    text: `select exists (select from pg_extension e where e.extname = 'timescaledb') as installed,
                  exists (select from pg_partitioned_table p where p.partrelid = 'meter_readings'::regclass) as partitioned`,
  });
  const [row] = rows;
  return {
    installed: row?.installed === true,
    storage: row?.partitioned === false ? 'hypertables' : 'partitions',
  };
}

/**
 * Takes TimescaleDB into use, in the transaction of the caller. A table that has rows is left as it is: moving them may
 * take hours, and the operator chooses when.
 * @returns false when there are readings already
 */
export async function adoptTimescale(tx: Session): Promise<boolean> {
  await tx.query({ text: 'lock table meter_readings, device_messages in access exclusive mode' });
  const { rows } = await tx.query<{ empty: boolean }>({
    text: `select not exists (select from meter_readings) and not exists (select from device_messages) as empty`,
  });
  if (rows[0]?.empty !== true) return false;
  const views = await viewDefinitions(tx);
  for (const text of adoption) await tx.query({ text });
  for (const { name, definition } of views) await tx.query({ text: `create view ${name} as ${definition}` });
  return true;
}

/** In their order. Chunks of a day, as our partitions; compressed after 30 days. */
const adoption: readonly string[] = [
  'drop view meter_hourly_stats, meter_daily_stats',
  'drop table meter_stats_hourly, meter_stats_daily',
  ...hypertable('meter_readings', 'reading_timestamp', {
    meter_readings_plain_id_idx: 'meter_readings_id_idx',
    meter_readings_plain_wallet_address_reading_timestamp_idx: 'meter_readings_wallet_idx',
  }),
  ...hypertable('device_messages', 'received_at', {
    device_messages_plain_device_id_received_at_idx: 'device_messages_device_idx',
  }),
  `create materialized view meter_stats_hourly
     with (timescaledb.continuous, timescaledb.materialized_only = true) as
   select r.meter_id, time_bucket(interval '1 hour', r.reading_timestamp) as hour_bucket,
          count(*) as reading_count, sum(r.kwh_amount) as total_kwh, min(r.kwh_amount) as min_kwh,
          max(r.kwh_amount) as max_kwh
     from meter_readings r
    group by r.meter_id, time_bucket(interval '1 hour', r.reading_timestamp)
     with no data`,
  `create materialized view meter_stats_daily
     with (timescaledb.continuous, timescaledb.materialized_only = true) as
   select r.meter_id, time_bucket(interval '1 day', r.reading_timestamp) as day_bucket, r.user_id,
          count(*) as reading_count, sum(r.kwh_amount) as total_kwh, min(r.kwh_amount) as min_kwh,
          max(r.kwh_amount) as max_kwh, count(*) filter (where r.minted) as minted_count,
          coalesce(sum(r.kwh_amount) filter (where r.minted), 0) as minted_kwh
     from meter_readings r
    group by r.meter_id, time_bucket(interval '1 day', r.reading_timestamp), r.user_id
     with no data`,
  `alter table meter_readings set (timescaledb.compress, timescaledb.compress_segmentby = 'meter_id',
     timescaledb.compress_orderby = 'reading_timestamp')`,
  `select add_compression_policy('meter_readings', compress_after => interval '30 days')`,
  'select watch_readings()',
];

/** `indexes` by the names that `like` makes: they get those that they had. */
function hypertable(table: string, time: string, indexes: Readonly<Record<string, string>>): string[] {
  return [
    `create table ${table}_plain (like ${table} including defaults including constraints including indexes)`,
    `drop table ${table}`,
    `alter table ${table}_plain rename to ${table}`,
    `alter table ${table} rename constraint ${table}_plain_pkey to ${table}_pkey`,
    ...Object.entries(indexes).map(([copied, name]) => `alter index ${copied} rename to ${name}`),
    `select create_hypertable('${table}', '${time}', chunk_time_interval => interval '1 day',
            create_default_indexes => false)`,
  ];
}

async function viewDefinitions(tx: Session): Promise<{ name: string; definition: string }[]> {
  const { rows } = await tx.query<{ name: string; definition: string }>({
    text: `select v.name, pg_get_viewdef(v.name::regclass) as definition
             from unnest('{meter_hourly_stats,meter_daily_stats}'::text[]) with ordinality as v (name, n) order by v.n`,
  });
  return rows;
}

/** What is dropped by age follows the settings; null: kept for ever. */
export async function setRetention(
  session: Session,
  readingDays: number | null,
  messageDays: number | null,
): Promise<void> {
  const tables = [
    ['meter_readings', readingDays],
    ['meter_stats_hourly', readingDays],
    ['meter_stats_daily', readingDays],
    ['device_messages', messageDays],
  ] as const;
  for (const [table, days] of tables) {
    await session.query({ text: `select remove_retention_policy('${table}', if_exists => true)` });
    if (days !== null)
      await session.query({
        text: `select add_retention_policy('${table}', drop_after => make_interval(days => $1::int))`,
        values: [days],
      });
  }
}

/** Brings the aggregates up to date, late readings too, and says up to where they are. Not inside a transaction. */
export async function refreshAggregates(database: Database, before: string): Promise<void> {
  for (const table of ['meter_stats_hourly', 'meter_stats_daily'])
    await database.query({
      text: `call refresh_continuous_aggregate('${table}', null, '${before} 00:00:00+00'::timestamptz)`,
      timeoutMs: 600_000,
    });
  await database.query({
    text: 'update meter_stats_state set sealed_until = $1::date where sealed_until < $1::date',
    values: [before],
  });
}

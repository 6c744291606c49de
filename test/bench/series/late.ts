import assert from 'node:assert/strict';
import type { Database } from '../../../src/database/database.js';
import type { Reading } from '../../../src/readings/reading.js';
import { createReadingWriter } from '../../../src/readings/writer.js';
import { keepUp } from '../../../src/statistics/upkeep.js';
import { energyOf, meterIdOf } from '../load/reading-plan.js';
import { dayMs, type History } from '../load/history.js';
import type { LateCost } from './measured.js';

const { signal } = new AbortController();
const sweeps = 9;
const readings = 1_000;

/** What readings of today and of a day that is written down cost; statistics are compared with the readings at the end. */
export async function costOfLate(database: Database, { meters, until }: History): Promise<LateCost> {
  const lateDay = Math.floor(until / dayMs) * dayMs - 20 * dayMs;
  const freshMicroseconds = (await store(database, meters, until + 60_000, sweeps)) ?? 0;
  const lateMicroseconds = (await store(database, meters, lateDay + 3_600_000 + 60_000, sweeps)) ?? 0;
  // Those of the sweeps first, so that the next ones count alone.
  await workOff(database);
  await store(database, meters, lateDay + 7_200_000 + 60_000, 1);
  const upkeepMs = await workOff(database);
  await compareDay(database, lateDay);
  const begun = performance.now();
  await database.query({
    text: `create materialized view plain_hours as
             select meter_id, date_trunc('hour', reading_timestamp) as hour_bucket, count(*) as reading_count,
                    sum(kwh_amount) as total_kwh, min(kwh_amount) as min_kwh, max(kwh_amount) as max_kwh
               from meter_readings group by 1, 2`,
    timeoutMs: 1_800_000,
  });
  const refreshMs = performance.now() - begun;
  await database.query({ text: 'drop materialized view plain_hours' });
  return { readings, freshMicroseconds, lateMicroseconds, upkeepMs, refreshMs };
}

/** @returns microseconds of one reading, the median of the sweeps */
async function store(
  database: Database,
  meters: number,
  from: number,
  count: number,
): Promise<number | undefined> {
  const writer = createReadingWriter(database, { spacingSeconds: 1 });
  const costs: number[] = [];
  for (let sweep = 0; sweep < count; sweep += 1) {
    const batch = Array.from({ length: readings }, (_, index) =>
      readingOf(index % meters, from + sweep * 60_000 + 2_000 * Math.floor(index / meters)),
    );
    const begun = performance.now();
    const { stored } = await writer.store(batch, { signal });
    if (stored.length !== batch.length)
      throw new Error(`Of ${batch.length} readings ${stored.length} were stored.`);
    costs.push(((performance.now() - begun) * 1_000) / batch.length);
  }
  return costs.toSorted((a, b) => a - b)[Math.floor(count / 2)];
}

/** @returns how long it took, ms */
async function workOff(database: Database): Promise<number> {
  const begun = performance.now();
  const upkeep = keepUp(database, { everyMs: 1e9, changesEveryMs: 1e9 });
  await upkeep.ready;
  const ms = performance.now() - begun;
  await upkeep.stop();
  const { rows } = await database.query({ text: 'select from meter_stats_changes limit 1' });
  assert.equal(rows.length, 0, 'changes of days that are written down were left');
  return ms;
}

/** @throws when what is written down of a day is not what its readings say */
async function compareDay(database: Database, day: number): Promise<void> {
  const span = [day, day + dayMs].map((time) => new Date(time).toISOString());
  const { rows } = await database.query<{ wrong: number }>({
    text: `with plain as (
             select meter_id, date_trunc('hour', reading_timestamp) as hour_bucket, count(*)::bigint as reading_count,
                    sum(kwh_amount) as total_kwh, min(kwh_amount) as min_kwh, max(kwh_amount) as max_kwh
               from meter_readings where reading_timestamp >= $1::timestamptz and reading_timestamp < $2::timestamptz
              group by 1, 2
           ), written as (
             select meter_id, hour_bucket, reading_count::bigint, total_kwh, min_kwh, max_kwh from meter_stats_hourly
              where hour_bucket >= $1::timestamptz and hour_bucket < $2::timestamptz
           )
           select count(*)::float8 as wrong from (
             (select * from plain except all select * from written) union all
             (select * from written except all select * from plain)) d`,
    values: span,
  });
  assert.equal(rows[0]?.wrong, 0, 'hours that are written down differ from their readings');
}

function readingOf(index: number, time: number): Reading {
  const meter_id = meterIdOf(index);
  return {
    delivery: 0,
    part: 0,
    device_id: meter_id,
    meter_id,
    user_id: null,
    energy: energyOf(index),
    time,
    source: 'mqtt',
    topic: `meters/${meter_id}/readings`,
    qos: 1,
    payload: '',
    received_at: time,
  };
}

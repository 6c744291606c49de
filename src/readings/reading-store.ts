import type { Session } from '../database/database.js';
import { integerArray, textArray } from './array-literal.js';
import type { Reading } from './reading.js';

/** A reading that was not inserted, because of one that is stored. */
export interface Hit {
  /** Its place in the batch. */
  readonly index: number;
  /** True when the stored one has the same time and energy. */
  readonly same: boolean;
  /** Time of the stored reading in its way, Unix ms. */
  readonly stored: number;
}

/** Meters are spread over this many locks; all instances must agree on it. */
export const lockCount = 16;

// 'mete': the class of our advisory locks.
const lockClass = 0x6d657465;

/**
 * Keeps every other writer of these meters out until the transaction ends. Taken in ascending order, so that two
 * writers cannot wait for one another. A plan made for the first batch's sizes once fell to 2,000 rows/s; hence the
 * generic one. `announced`: whoever takes these locks tells caches what is stored, so the database need not.
 */
export async function lockMeters(tx: Session, locks: readonly number[]): Promise<void> {
  await tx.query({
    name: 'reading-lock',
    text: `select set_config('plan_cache_mode', 'force_generic_plan', true),
                  set_config('meterflow.announced', 'on', true), count(pg_advisory_xact_lock(${lockClass}, l))
             from unnest($1::int[]) as l`,
    values: [integerArray([...locks].sort((a, b) => a - b))],
  });
}

// The open interval around a reading in which no other may be stored; with the rule off, only its own instant.
const near = `m.meter_id = r.meter_id
                and m.reading_timestamp > r.at - greatest($6::int * interval '1 second', interval '1 microsecond')
                and m.reading_timestamp < r.at + greatest($6::int * interval '1 second', interval '1 microsecond')`;

const batch = `select u.n::int, u.meter_id, u.user_id::uuid, (u.energy * 0.0001)::numeric(14, 4) as kwh_amount,
                      to_timestamp(u.time::float8 / 1000) as at, u.source
                 from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
                      with ordinality as u (meter_id, user_id, energy, time, source, n)`;

const hits = `select p.n - 1 as index, (extract(epoch from p.stored) * 1000)::float8 as stored,
                     exists (select 1 from meter_readings m
                              where m.meter_id = p.meter_id and m.reading_timestamp = p.at
                                and m.kwh_amount = p.kwh_amount) as same
                from probed p
               where p.stored is not null`;

/**
 * Inserts what keeps the spacing rule and returns the others. The meters must be locked by an earlier statement, so
 * that this one's snapshot holds what the last owner of the lock committed. It does not see its own rows: readings of
 * one batch must not be in each other's way.
 */
export async function insertReadings(
  tx: Session,
  readings: readonly Reading[],
  spacingSeconds: number,
): Promise<Hit[]> {
  const { rows } = await tx.query<Hit>({
    name: 'reading-insert',
    text: `with probed as materialized (
             select r.*, (select m.reading_timestamp from meter_readings m where ${near} limit 1) as stored
               from (${batch}) r
           ), inserted as (
             insert into meter_readings (meter_id, user_id, kwh_amount, reading_timestamp, source)
             select meter_id, user_id, kwh_amount, at, source from probed where stored is null
           )
           ${hits}`,
    values: [...columns(readings), spacingSeconds],
  });
  return rows;
}

/** Which of these readings have a stored one in their way. */
export async function probeReadings(
  tx: Session,
  readings: readonly Reading[],
  spacingSeconds: number,
): Promise<Hit[]> {
  const { rows } = await tx.query<Hit>({
    name: 'reading-probe',
    text: `with probed as materialized (
             select r.*, (select m.reading_timestamp from meter_readings m where ${near} limit 1) as stored
               from (${batch}) r
           )
           ${hits}`,
    values: [...columns(readings), spacingSeconds],
  });
  return rows;
}

function columns(readings: readonly Reading[]): string[] {
  return [
    textArray(readings.map((reading) => reading.meter_id)),
    textArray(readings.map((reading) => reading.user_id)),
    integerArray(readings.map((reading) => reading.energy)),
    integerArray(readings.map((reading) => reading.time)),
    textArray(readings.map((reading) => reading.source)),
  ];
}

import type { Database } from '../../../src/database/database.js';
import { meterIdOf } from './reading-plan.js';

export const dayMs = 86_400_000;

/** Readings of a fleet, as time would have brought them. */
export interface History {
  readonly meters: number;
  /** Of every meter, before today. */
  readonly days: number;
  readonly everyMinutes: number;
  /** The first so many have an hourly reading on the days before as well, back to a year: see `yearDays`. */
  readonly yearMeters: number;
  /** Of the owners; number `n` has the meters from `n × metersOfUser` on. */
  readonly emails: readonly string[];
  readonly metersOfUser: number;
  /** Unix ms, a whole quarter of an hour: the last reading is before it. */
  readonly until: number;
}

/** What is older than a year is dropped by the retention. */
export const yearDays = 364;
/** Days that are filled at once; the machine has two cores. */
const lanes = 2;

export function userIdOf(index: number): string {
  return `00000000-0000-4000-8000-${String(index + 1).padStart(12, '0')}`;
}

/** Day by day in partitions of their own, each day in the order of time: a meter's readings lie far apart, as in life. */
export async function fillHistory(database: Database, history: History): Promise<void> {
  await register(database, history);
  const today = Math.floor(history.until / dayMs) * dayMs;
  const ages = Array.from({ length: Math.max(history.days, yearDays) }, (_, index) => index).toReversed();
  const wanted = ages.filter((age) => age < history.days || history.yearMeters > 0);
  for (const age of wanted)
    await database.query({
      text: `select ensure_day_partition('meter_readings', ($1::timestamptz at time zone 'UTC')::date)`,
      values: [isoOf(today - age * dayMs)],
    });
  const lane = async (): Promise<void> => {
    for (let age = wanted.shift(); age !== undefined; age = wanted.shift()) {
      const begins = today - age * dayMs;
      await (age < history.days
        ? fillDay(database, begins, history.everyMinutes, history.meters, history.until)
        : fillDay(database, begins, 60, history.yearMeters, history.until));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  await database.query({ text: 'vacuum analyze meter_readings' });
  await database.query({ text: 'analyze devices' });
  await database.query({ text: 'checkpoint' });
}

async function register(database: Database, { meters, emails, metersOfUser }: History): Promise<void> {
  await database.query({
    text: `insert into users (id, email, role) select id, email, 'prosumer' from unnest($1::uuid[], $2::text[]) as u (id, email)`,
    values: [emails.map((_, index) => userIdOf(index)), emails],
  });
  const indexes = Array.from({ length: meters }, (_, index) => index);
  await database.query({
    text: `insert into devices (meter_id, type, mqtt_user, password_hash, user_id)
           select m, 'meter', m, '', u from unnest($1::text[], $2::uuid[]) as d (m, u)`,
    values: [
      indexes.map(meterIdOf),
      indexes.map((index) =>
        index < emails.length * metersOfUser ? userIdOf(Math.floor(index / metersOfUser)) : null,
      ),
    ],
  });
}

async function fillDay(
  database: Database,
  begins: number,
  everyMinutes: number,
  meters: number,
  until: number,
): Promise<void> {
  await database.query({
    text: `insert into meter_readings (meter_id, user_id, kwh_amount, reading_timestamp)
           select d.meter_id, d.user_id, 0.1 + (q * 37 + d.id_hash) % 100 * 0.01, $1::timestamptz + q * make_interval(mins => $2::int)
             from generate_series(0, 1440 / $2::int - 1) q
            cross join (select meter_id, user_id, abs(hashtext(meter_id)) % 1000 as id_hash from devices
                         order by meter_id limit $3::int) d
            where $1::timestamptz + q * make_interval(mins => $2::int) < $4::timestamptz
            order by q`,
    values: [isoOf(begins), everyMinutes, meters, isoOf(until)],
  });
}

function isoOf(time: number): string {
  return new Date(time).toISOString();
}

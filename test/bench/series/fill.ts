import type { Database } from '../../../src/database/database.js';
import { meterIdOf } from '../load/reading-plan.js';

export const dayMs = 86_400_000;
/** A month, and the days before and after it that a span touches. */
export const days = 40;

/** Every quarter of an hour a row of each meter, in the order in which time brings them; ends with `until`, Unix ms. */
export async function fillSeries(database: Database, meters: number, until: number): Promise<void> {
  await database.query({
    text: `insert into users (id, email) values ('00000000-0000-4000-8000-000000000001', 'bench')`,
  });
  await database.query({
    text: `insert into devices (meter_id, type, mqtt_user, password_hash, user_id)
           select m, 'meter', m, '', case when n <= 10 then '00000000-0000-4000-8000-000000000001'::uuid end
             from unnest($1::text[]) with ordinality as u (m, n)`,
    values: [Array.from({ length: meters }, (_, index) => meterIdOf(index))],
  });
  for (let age = days - 1; age >= 0; age -= 1) {
    const begins = new Date(Math.floor(until / dayMs) * dayMs - age * dayMs).toISOString();
    await database.query({
      text: `select ensure_day_partition('meter_readings', ($1::timestamptz at time zone 'UTC')::date)`,
      values: [begins],
    });
    await database.query({
      text: `insert into meter_readings (meter_id, user_id, kwh_amount, reading_timestamp)
             select d.meter_id, d.user_id, 0.1 + (q * 37 + length(d.meter_id)) % 100 * 0.01,
                    $1::timestamptz + q * interval '15 minutes'
               from generate_series(0, 95) q cross join devices d
              where $1::timestamptz + q * interval '15 minutes' < to_timestamp($2::float8 / 1000)
              order by q`,
      values: [begins, until],
    });
  }
  await database.query({ text: 'vacuum analyze meter_readings' });
  await database.query({ text: 'checkpoint' });
}

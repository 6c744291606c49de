import type { Database } from '../../../src/database/database.js';
import type { Submission } from './plan.js';

/** Compares what was answered with 201 with the table, reading by reading. */
export async function judgeSubmissions(
  database: Database,
  bodies: readonly string[],
): Promise<{ lost: number; wrong: number }> {
  const { rows } = await database.query<{ key: string; kwh: number }>({
    text: `select meter_id || ' ' || extract(epoch from reading_timestamp)::bigint as key, kwh_amount::float8 as kwh
             from meter_readings where source = 'http'`,
  });
  return differenceOf(
    bodies.map((body) => JSON.parse(body) as Submission),
    rows,
  );
}

/** `lost`: answered with 201 and not there. `wrong`: there with another energy, or more than once. */
export function differenceOf(
  stored: readonly Submission[],
  found: readonly { readonly key: string; readonly kwh: number }[],
): { lost: number; wrong: number } {
  const there = new Map<string, number[]>();
  for (const { key, kwh } of found) there.set(key, [...(there.get(key) ?? []), kwh]);
  let lost = 0;
  let wrong = 0;
  for (const { meter_id, reading_timestamp, kwh_amount } of stored) {
    const energies = there.get(`${meter_id} ${Date.parse(reading_timestamp) / 1_000}`) ?? [];
    if (energies.length === 0) lost += 1;
    else if (energies.length > 1 || energies[0] !== kwh_amount) wrong += 1;
  }
  return { lost, wrong };
}

import { Client } from 'pg';
import { meterIdOf, timeOf, type ReadingPlan } from './load/reading-plan.js';

/** What one meter sent: readings first … first + count − 1, of which `missing` were never acknowledged. */
export interface SentReadings {
  readonly first: number;
  readonly count: number;
  readonly missing: readonly number[];
}

export interface Loss {
  /** Acknowledged and not in the database. */
  readonly lost: number;
  /** A few of them, for whoever wants to look. */
  readonly examples: readonly string[];
  /** Readings of this step in the database, acknowledged or not. */
  readonly stored: number;
}

/** Compares reading by reading what was acknowledged with what is in the table `meter_readings` of `url`. */
export async function countLost(
  url: string,
  plan: ReadingPlan,
  sent: readonly SentReadings[],
): Promise<Loss> {
  const stored = await storedReadings(url, plan, sent);
  const examples: string[] = [];
  let lost = 0;
  let found = 0;
  sent.forEach(({ first, count, missing }, meter) => {
    const there = stored.get(meterIdOf(meter));
    const unacknowledged = new Set(missing);
    for (let k = first; k < first + count; k += 1) {
      const isThere = there?.has(k) === true;
      if (isThere) found += 1;
      if (isThere || unacknowledged.has(k)) continue;
      lost += 1;
      if (examples.length < 5)
        examples.push(`${meterIdOf(meter)} at ${new Date(timeOf(plan, k)).toISOString()}`);
    }
  });
  return { lost, examples, stored: found };
}

/** The numbers of the stored readings by meter, of the span that this step sent. */
async function storedReadings(
  url: string,
  plan: ReadingPlan,
  sent: readonly SentReadings[],
): Promise<Map<string, Set<number>>> {
  const from = sent.reduce((least, { first }) => Math.min(least, first), Number.MAX_SAFE_INTEGER);
  const to = sent.reduce((most, { first, count }) => Math.max(most, first + count), 0);
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ meter_id: string; numbers: string }>({
      text: `select meter_id, string_agg((date_part('epoch', reading_timestamp) - $1::float8)::int::text, ',') as numbers
             from meter_readings
             where reading_timestamp >= to_timestamp($2) and reading_timestamp < to_timestamp($3)
             group by meter_id`,
      values: [plan.base / 1_000, timeOf(plan, from) / 1_000, timeOf(plan, to) / 1_000],
    });
    return new Map(rows.map(({ meter_id, numbers }) => [meter_id, new Set(numbers.split(',').map(Number))]));
  } finally {
    await client.end();
  }
}

import { Client } from 'pg';
import type { TrialHouse } from './house.js';
import type { TrialMeter, TrialReading } from './meters.js';

/** What became of the readings, as the API lists them: each must be there, once, as it was sent. */
export async function storedProblems(
  house: TrialHouse,
  meters: readonly TrialMeter[],
  sent: readonly TrialReading[],
): Promise<string[]> {
  const wanted = new Map(sent.map((reading) => [keyOf(reading), 0]));
  let strange = 0;
  for (const { meter_id } of meters)
    for (const reading of await listed(house, meter_id)) {
      const times = wanted.get(keyOf(reading));
      if (times === undefined) strange += 1;
      else wanted.set(keyOf(reading), times + 1);
    }
  const counts = [...wanted.values()];
  const missing = counts.filter((times) => times === 0).length;
  const doubled = counts.filter((times) => times > 1).length;
  process.stdout.write(
    `by the API: ${counts.length - missing} of ${sent.length} stored, ${doubled} twice, ${strange} that nobody sent\n`,
  );
  return [
    ...(missing > 0 ? [`${missing} are missing${await refusalsOf(house, meters)}`] : []),
    ...(doubled > 0 ? [`${doubled} are there twice`] : []),
    ...(strange > 0 ? [`${strange} were never sent`] : []),
  ];
}

/** The same from the table itself, when DATABASE_URL is set. */
export async function tableProblems(
  meters: readonly TrialMeter[],
  sent: readonly TrialReading[],
): Promise<string[]> {
  const url = process.env['DATABASE_URL'] ?? '';
  if (url === '') return [];
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
  });
  await client.connect();
  try {
    const { rows } = await client.query<{ stored: number; distinct: number; kwh: string }>(
      `select count(*)::int as stored,
              count(distinct (meter_id, reading_timestamp))::int as distinct,
              coalesce(sum(kwh_amount), 0)::text as kwh
         from meter_readings where meter_id = any($1::text[])`,
      [meters.map(({ meter_id }) => meter_id)],
    );
    const { stored = 0, distinct = 0, kwh = '0' } = rows[0] ?? {};
    const tenThousandths = sent.reduce((sum, { kwh_amount }) => sum + Math.round(kwh_amount * 10_000), 0);
    process.stdout.write(`in the database: ${stored} rows, ${distinct} different, ${kwh} kWh\n`);
    return [
      ...(stored === sent.length ? [] : [`the table has ${stored} rows`]),
      ...(distinct === stored ? [] : [`${stored - distinct} rows are double`]),
      ...(Math.round(Number(kwh) * 10_000) === tenThousandths ? [] : [`the table sums up to ${kwh} kWh`]),
    ];
  } finally {
    await client.end();
  }
}

interface Page {
  readonly data: readonly TrialReading[];
  readonly total: number;
}

async function listed(house: TrialHouse, meterId: string): Promise<TrialReading[]> {
  const found: TrialReading[] = [];
  for (let page = 1; ; page++) {
    const path = `/api/meters/${meterId}/readings?limit=100&page=${page}`;
    const { data, total } = await house.ask<Page>('GET', path);
    found.push(...data);
    if (found.length >= total || data.length === 0) return found;
  }
}

/** What the quarantine says of these meters, for whoever wonders where readings are. */
async function refusalsOf(house: TrialHouse, meters: readonly TrialMeter[]): Promise<string> {
  const codes = new Set<string>();
  for (const { meter_id } of meters) {
    const path = `/api/admin/quarantine?meter_id=${meter_id}&limit=100`;
    const { data } = await house.ask<{ data: readonly { code: string }[] }>('GET', path);
    for (const { code } of data) codes.add(code);
  }
  return codes.size === 0 ? '' : `; in quarantine: ${[...codes].join(', ')}`;
}

function keyOf({ meter_id, kwh_amount, reading_timestamp }: TrialReading): string {
  return `${meter_id} ${reading_timestamp} ${kwh_amount}`;
}

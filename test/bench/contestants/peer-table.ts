import { Client } from 'pg';

/** The table that somebody would make for the job: no partitions, no rule, just the key that finds a meter's readings. */
export async function createPeerTable(url: string): Promise<void> {
  await once(
    url,
    `create table meter_readings (
       id bigint generated always as identity,
       meter_id text not null,
       kwh_amount numeric(14, 4) not null,
       reading_timestamp timestamptz not null,
       submitted_at timestamptz not null default now(),
       primary key (meter_id, reading_timestamp)
     )`,
  );
}

/** How many ids were given: how far the inserts are, without counting rows. */
export async function insertsSoFar(url: string): Promise<number> {
  const rows = await once(url, 'select last_value::int8::text as count from meter_readings_id_seq');
  return Number(rows[0]?.['count']);
}

async function once(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

import type { Session } from '../database/database.js';

/** Whose device each of these names is, by meter_id, drn or device id; null: nobody's. Unknown names are absent. */
export async function findOwners(
  session: Session,
  names: readonly string[],
): Promise<Map<string, string | null>> {
  const { rows } = await session.query<{ name: string; user_id: string | null }>({
    name: 'owners-of-names',
    text: `select n.name, d.user_id::text
             from unnest($1::text[]) as n (name)
            cross join lateral (
              select user_id from devices
               where devices.meter_id = n.name or devices.drn = n.name or devices.id = n.name limit 1) d`,
    values: [names],
  });
  return new Map(rows.map(({ name, user_id }) => [name, user_id]));
}

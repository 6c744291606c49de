import type { Session } from '../database/database.js';

/** The meters of these users, by user; who has none is absent. */
export async function selectOwnMeters(
  session: Session,
  userIds: readonly string[],
): Promise<Map<string, Set<string>>> {
  const { rows } = await session.query<{ user_id: string; meter_id: string }>({
    name: 'live-own-meters',
    text: `select user_id::text, meter_id from devices
            where user_id = any($1::uuid[]) and not mock`,
    values: [userIds],
    timeoutMs: 5_000,
  });
  const meters = new Map<string, Set<string>>();
  for (const { user_id, meter_id } of rows) {
    const own = meters.get(user_id);
    if (own === undefined) meters.set(user_id, new Set([meter_id]));
    else own.add(meter_id);
  }
  return meters;
}

import type { Session } from '../database/database.js';

/** Whose readings these are. */
export interface KnownMeter {
  readonly meter_id: string;
  readonly device_id: string;
  readonly user_id: string | null;
}

/** Those of these meters that are in the registry and not revoked, by meter_id. */
export async function findKnownMeters(
  session: Session,
  meter_ids: Iterable<string>,
): Promise<Map<string, KnownMeter>> {
  const { rows } = await session.query<KnownMeter>({
    name: 'known-meters',
    text: `select meter_id, id as device_id, user_id::text from devices
            where meter_id = any($1::text[]) and revoked_at is null`,
    values: [[...new Set(meter_ids)]],
  });
  return new Map(rows.map((row) => [row.meter_id, row]));
}

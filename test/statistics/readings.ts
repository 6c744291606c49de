import type { Session } from '../../src/database/database.js';
import type { Reading } from '../../src/readings/reading.js';

export const dayMs = 86_400_000;

/** A reading as the validator hands it on; energy in ten-thousandths of a kWh, time in Unix ms. */
export function energyReading(
  meter_id: string,
  time: number,
  energy: number,
  user_id: string | null = null,
): Reading {
  return {
    delivery: 0,
    part: 0,
    meter_id,
    device_id: null,
    user_id,
    energy,
    time,
    source: 'mqtt',
    received_at: time,
    topic: `meters/${meter_id}/readings`,
    qos: 1,
  };
}

/** Meters of a registry, one of them a mock perhaps. */
export async function register(
  session: Session,
  meters: readonly string[],
  mock: string | null = null,
  user_id: string | null = null,
): Promise<void> {
  await session.query({
    text: `insert into devices (meter_id, type, mqtt_user, password_hash, mock, user_id)
           select m, 'meter', m, '', m is not distinct from $2, $3::uuid from unnest($1::text[]) m`,
    values: [meters, mock, user_id],
  });
}

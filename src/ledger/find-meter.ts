import type { Session } from '../database/database.js';

/** A meter that money can be meant for. */
export interface Meter {
  readonly meterId: string;
  readonly deviceId: string;
  readonly drn: string | null;
  readonly userId: string | null;
  readonly tariffPlan: string;
}

/**
 * The meter that a payer, an operator or a token means: by its drn or its meter_id, case as written, spaces around it
 * forgiven. Undefined for an unknown one, a revoked one, and a mock, which nobody can pay for.
 */
export async function findMeter(session: Session, meterNumber: string): Promise<Meter | undefined> {
  const number = meterNumber.trim();
  // Names longer than any meter's need no look-up; NUL does not fit a text.
  if (!/^[A-Za-z0-9_-]{1,50}$/.test(number)) return undefined;
  const { rows } = await session.query<{
    meter_id: string;
    id: string;
    drn: string | null;
    user_id: string | null;
    tariff_plan: string;
  }>({
    name: 'find-meter',
    text: `select meter_id, id, drn, user_id::text, tariff_plan from devices
            where (meter_id = $1 or drn = $1) and revoked_at is null and not mock
            order by meter_id = $1 desc limit 1`,
    values: [number],
  });
  return rows.map(({ meter_id, id, drn, user_id, tariff_plan }) => ({
    meterId: meter_id,
    deviceId: id,
    drn,
    userId: user_id,
    tariffPlan: tariff_plan,
  }))[0];
}

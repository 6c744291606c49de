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
  const number = nameOf(meterNumber);
  if (number === null) return undefined;
  const { rows } = await session.query<Row>({
    name: 'find-meter',
    text: `select meter_id, id, drn, user_id::text, tariff_plan from devices
            where (meter_id = $1 or drn = $1) and revoked_at is null and not mock
            order by meter_id = $1 desc limit 1`,
    values: [number],
  });
  return rows.map(meterOf)[0];
}

/** Each of many, by the number as it was given. */
export async function findMeters(
  session: Session,
  meterNumbers: readonly string[],
): Promise<Map<string, Meter>> {
  const [first, ...others] = meterNumbers;
  // One alone has a plan that is kept; that of a list is made anew each time.
  if (first !== undefined && others.length === 0) {
    const meter = await findMeter(session, first);
    return new Map(meter === undefined ? [] : [[first, meter]]);
  }
  const { rows } = await session.query<Row & { place: number }>({
    name: 'find-meters',
    text: `select n.place::int as place, d.meter_id, d.id, d.drn, d.user_id::text, d.tariff_plan
             from unnest($1::text[]) with ordinality as n (number, place)
            cross join lateral (
              select meter_id, id, drn, user_id, tariff_plan from devices
               where (meter_id = n.number or drn = n.number) and revoked_at is null and not mock
               order by meter_id = n.number desc limit 1) d`,
    values: [meterNumbers.map(nameOf)],
  });
  return new Map(rows.map((row) => [meterNumbers[row.place - 1] ?? '', meterOf(row)]));
}

interface Row {
  readonly meter_id: string;
  readonly id: string;
  readonly drn: string | null;
  readonly user_id: string | null;
  readonly tariff_plan: string;
}

/** Names longer than any meter's need no look-up; NUL does not fit a text. */
function nameOf(meterNumber: string): string | null {
  const number = meterNumber.trim();
  return /^[A-Za-z0-9_-]{1,50}$/.test(number) ? number : null;
}

function meterOf({ meter_id, id, drn, user_id, tariff_plan }: Row): Meter {
  return { meterId: meter_id, deviceId: id, drn, userId: user_id, tariffPlan: tariff_plan };
}

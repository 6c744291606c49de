import type { Session } from '../database/database.js';

/** A token that a meter has confirmed, and the meter's balance now. */
export interface InjectedToken {
  readonly id: string;
  readonly meter_id: string;
  /** Texts with four decimals. */
  readonly injected_units: string;
  readonly balance: string | null;
  readonly finished_at: Date;
  readonly late: boolean;
}

/** The successes among these injections. */
export async function selectInjected(session: Session, ids: readonly string[]): Promise<InjectedToken[]> {
  const { rows } = await session.query<InjectedToken>({
    name: 'live-injected',
    text: `select t.id::text, t.meter_id, t.injected_units::text, t.finished_at, t.late,
                  a.balance::numeric(24, 4)::text as balance
             from token_injections t
             left join accounts a on a.meter_id = t.meter_id and a.kind = 'units' and a.currency = ''
            where t.id = any($1::uuid[]) and t.status = 'success' and t.injected_units is not null`,
    values: [ids],
    timeoutMs: 5_000,
  });
  return rows;
}

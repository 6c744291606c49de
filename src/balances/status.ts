import type { Session } from '../database/database.js';
import { textArray } from '../readings/array-literal.js';

/** The fields of a status message ([M-3]) that are kept; others are left out. */
export interface MeterStatus {
  readonly status: string;
  readonly message: string | null;
  /** Units. */
  readonly balance: number | null;
  readonly wifi_rssi: number | null;
  readonly timestamp: string | number | null;
}

export interface StatusReport {
  readonly meter_id: string;
  /** Unix ms. */
  readonly received_at: number;
  readonly status: MeterStatus;
}

/** A meter that says that it is online; `before` is what was kept of it. */
export interface Online {
  readonly meter_id: string;
  readonly before: string | null;
  /** Unix ms. */
  readonly before_at: number | null;
  /** The ledger's, ten-thousandths of a unit; null: it has none. */
  readonly balance: number | null;
  readonly is_open: boolean;
}

/**
 * Keeps the last status of each meter with its time. One report per meter.
 * @returns those that say `online`, as they were before
 */
export async function keepStatuses(session: Session, reports: readonly StatusReport[]): Promise<Online[]> {
  const { rows } = await session.query<Online>({
    name: 'keep-statuses',
    text: `with said as (
             select u.meter_id, u.status::jsonb as status, to_timestamp(u.at / 1000) as at
               from unnest($1::text[], $2::text[], $3::float8[]) as u (meter_id, status, at)
           ), kept as (
             update devices d set last_status = said.status, last_status_at = said.at
               from said
              where d.meter_id = said.meter_id and (d.last_status_at is null or d.last_status_at <= said.at)
           )
           select said.meter_id, d.last_status->>'status' as before,
                  (extract(epoch from d.last_status_at) * 1000)::float8 as before_at,
                  (a.balance * 10000)::float8 as balance,
                  exists (select from outbox o
                           where o.kind = 'balance' and o.subject = said.meter_id and o.done_at is null) as is_open
             from said join devices d on d.meter_id = said.meter_id
             left join accounts a on a.meter_id = said.meter_id and a.kind = 'units' and a.currency = ''
            where said.status->>'status' = 'online'`,
    values: [
      textArray(reports.map(({ meter_id }) => meter_id)),
      textArray(reports.map(({ status }) => JSON.stringify(status))),
      `{${reports.map(({ received_at }) => received_at).join(',')}}`,
    ],
  });
  return rows;
}

/** Without a word for so long, a meter that says `online` may have been away. */
const awayMs = 5 * 60_000;

/**
 * Whether a meter that says `online` must hear its balance: it was not online before, a command waits for it, or its
 * balance is not the ledger's. One that says so every half minute need not.
 */
export function mustHear(online: Online, said: StatusReport, driftUnits: number): boolean {
  const { before, before_at, balance, is_open } = online;
  if (is_open || before !== 'online' || before_at === null || said.received_at - before_at >= awayMs)
    return true;
  const own = said.status.balance;
  return own === null || Math.abs(own * 10_000 - (balance ?? 0)) > driftUnits;
}

import type { Session } from '../database/database.js';
import { ensureAccounts } from '../ledger/accounts.js';

/** Between which accounts the units of tokens are moved, and what is known of the meters. */
export interface TokenAccounts {
  /** Nobody's: energy given out. */
  readonly issued: string;
  /** The account of units of each meter, locked in everybody's order. */
  readonly units: ReadonlyMap<string, string>;
  /** Those of the meters that have taken a balance command before. */
  readonly commanded: ReadonlySet<string>;
}

/** All in one way to the database. @throws AccountsMissing: nothing may be locked while accounts are made */
export async function lockTokenAccounts(tx: Session, meterIds: readonly string[]): Promise<TokenAccounts> {
  const { rows } = await tx.query<{ id: string; meter_id: string | null; commanded: boolean }>({
    name: 'lock-token-accounts',
    text: `with locked as materialized (
             select id, meter_id from accounts
              where meter_id = any($1::text[]) and kind = 'units' and currency = ''
              order by id for no key update
           )
           select id, meter_id, exists (select from balance_commands b where b.meter_id = locked.meter_id
                                           and b.confirmed_at is not null) as commanded
             from locked
           union all
           select id, null, false from accounts where meter_id is null and kind = 'issued' and currency = ''`,
    values: [meterIds],
  });
  const units = new Map<string, string>();
  for (const { id, meter_id } of rows) if (meter_id !== null) units.set(meter_id, id);
  if (units.size < meterIds.length) throw new AccountsMissing(meterIds);
  const issued = rows.find(({ meter_id }) => meter_id === null)?.id;
  if (issued === undefined) throw new Error('There is no account of issued energy.');
  const commanded = rows.flatMap((row) => (row.commanded && row.meter_id !== null ? [row.meter_id] : []));
  return { issued, units, commanded: new Set(commanded) };
}

/** Thrown before anything is written: make them with `openAccounts`, and begin anew. */
export class AccountsMissing extends Error {
  constructor(readonly meterIds: readonly string[]) {
    super('Meters without an account of units.');
  }
}

export async function openAccounts(session: Session, meterIds: readonly string[]): Promise<void> {
  await ensureAccounts(session, meterIds, null);
}

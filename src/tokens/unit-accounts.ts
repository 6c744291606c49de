import type { Session } from '../database/database.js';
import { ensureAccounts } from '../ledger/accounts.js';

/** The account of units of each meter, made when it is missing, locked in everybody's order. */
export async function lockUnits(tx: Session, meterIds: readonly string[]): Promise<Map<string, string>> {
  const locked = await selectUnits(tx, meterIds);
  if (locked.size === meterIds.length) return locked;
  // Nothing may be locked while accounts are made.
  throw new AccountsMissing(meterIds);
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

async function selectUnits(tx: Session, meterIds: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await tx.query<{ id: string; meter_id: string }>({
    name: 'lock-units',
    text: `select id, meter_id from accounts
            where meter_id = any($1::text[]) and kind = 'units' and currency = ''
            order by id for no key update`,
    values: [meterIds],
  });
  return new Map(rows.map(({ id, meter_id }) => [meter_id, id]));
}

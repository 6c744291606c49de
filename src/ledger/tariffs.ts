import type { Database, Session } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { asNewTariff } from './new-tariff.js';
import { insertTariff, listTariffRows, lockPresets, type TariffRow } from './tariff-store.js';

export { newTariff } from './new-tariff.js';

/** A version of a plan as everybody may see it. Money with at most 2 decimals, prices with 4. */
export interface TariffVersion {
  readonly id: string;
  readonly plan: string;
  readonly currency: string;
  readonly time_zone: string;
  readonly valid_from: string;
  /** Sales of now are made under it. */
  readonly current: boolean;
  readonly payment_fee: number;
  readonly monthly_fee: number;
  readonly arrears_share: number;
  readonly blocks: readonly { readonly from: number; readonly price: number }[];
  readonly created_by: string;
  readonly created_at: string;
}

/** All versions, by plan, the newest first. @param plan only its own */
export async function listTariffs(session: Session, plan: string | null = null): Promise<TariffVersion[]> {
  return (await listTariffRows(session, plan)).map(asVersion);
}

/**
 * Adds a version to a plan, or a plan. Versions never change; what is sold keeps its own. The very first one is of the
 * plan `default`, and decides the currency.
 * @throws DomainError TARIFF_INVALID naming each field, TARIFF_EXISTS
 */
export async function createTariff(
  database: Pick<Database, 'transaction'>,
  input: unknown,
  caller: Caller,
  now: Date = new Date(),
): Promise<TariffVersion> {
  return database.transaction(async (tx) => {
    const wanted = asNewTariff(input, await lockPresets(tx), now.getTime());
    const row = await insertTariff(tx, wanted, caller.name);
    if (row === undefined)
      throw new DomainError('TARIFF_EXISTS', `The plan ${wanted.plan} has a version from this time already.`);
    await audit(tx, caller, { action: 'tariff.created', subject: wanted.plan, details: { ...wanted } });
    return asVersion(row);
  });
}

function asVersion(row: TariffRow & { readonly current: boolean }): TariffVersion {
  return {
    id: row.id,
    plan: row.plan,
    currency: row.currency,
    time_zone: row.time_zone,
    valid_from: row.valid_from.toISOString(),
    current: row.current,
    payment_fee: Number(row.payment_fee),
    monthly_fee: Number(row.monthly_fee),
    arrears_share: Number(row.arrears_share),
    blocks: row.blocks,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
  };
}

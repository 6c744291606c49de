import type { Database } from '../src/database/database.js';
import { ensureDefaultTariff } from '../src/ledger/tariff-store.js';
import { listTariffs } from '../src/ledger/tariffs.js';
import type { Environment } from '../src/operation/environment.js';
import type { Progress } from './progress.js';

/** Makes the default plan at the first start; says so when the settings differ from what it was made of. */
export async function prepareTariff(
  environment: Environment,
  database: Database,
  progress: Progress,
): Promise<void> {
  const {
    TARIFF_PRICE_PER_UNIT: pricePerUnit,
    TARIFF_CURRENCY: currency,
    BILLING_TIMEZONE: timeZone,
  } = environment;
  if (await ensureDefaultTariff(database, { pricePerUnit, currency, timeZone })) return;
  const first = (await listTariffs(database, 'default')).at(-1);
  if (first === undefined) return;
  const price = first.blocks[0]?.price;
  const differs = [
    ['TARIFF_PRICE_PER_UNIT', Number(pricePerUnit) !== price, price],
    ['TARIFF_CURRENCY', currency !== first.currency, first.currency],
    ['BILLING_TIMEZONE', timeZone !== first.time_zone, first.time_zone],
  ] as const;
  for (const [name, isOther, made] of differs) {
    if (isOther && environment.explicit.has(name))
      progress.warn(`${name} changes nothing: the default tariff was made with ${made}; add a version to it`);
  }
}

import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import { selectDrifts, selectHistory, selectMeters, selectTotals } from './prepaid-meter-store.js';
import type { BalancePoint, Drift, MeterTotals, PrepaidMeter } from './prepaid-meter.js';

export type { BalancePoint, Drift, MeterTotals, PrepaidMeter } from './prepaid-meter.js';

export const meterSorts = ['meter_id', 'balance', 'updated_at'] as const;

/** At most this far back a curve goes. */
const hoursMax = 24 * 31;

/** What an operator wants to see of prepaid meters. Each throws DomainError SCHEMA_INVALID naming a wrong field. */
export interface PrepaidMeters {
  /** Filters: `search` (in meter_id and name, or the whole drn), `low` (true: below the threshold). */
  list(query?: ListQuery): Promise<Page<PrepaidMeter>>;
  /** One of them, by meter_id or drn. @throws DomainError METER_UNKNOWN */
  get(meter: string): Promise<PrepaidMeter>;
  /** The balance by the meter's own times, oldest first, at most 400 points of the last `hours` (24). */
  history(meter_id: string, query?: ListQuery): Promise<BalancePoint[]>;
  /** Meters that disagreed with the ledger; filters: `meter_id`, `open` (true, false). */
  drifts(query?: ListQuery): Promise<Page<Drift>>;
  totals(): Promise<MeterTotals>;
}

/** @param lowUnits below it a balance is low, in units */
export function createPrepaidMeters(
  database: Database,
  options: { readonly lowUnits: number },
): PrepaidMeters {
  const { lowUnits } = options;
  return {
    async list(query = {}) {
      const request = pageRequest(query, meterSorts, 'asc');
      const filter = { search: text(query['search']), isLow: flag(query, 'low') === true };
      const found = await selectMeters(database, request, { ...filter, lowUnits, meter_id: null });
      return { ...found, page: request.page, limit: request.limit };
    },
    async get(meter) {
      const filter = { search: null, isLow: false, lowUnits, meter_id: text(meter) ?? '' };
      const { data } = await selectMeters(database, pageRequest({ limit: 1 }, meterSorts, 'asc'), filter);
      if (data[0] !== undefined) return data[0];
      throw new DomainError('METER_UNKNOWN', `There is no meter ${JSON.stringify(meter)}.`);
    },
    history: async (meter_id, query = {}) => selectHistory(database, meter_id, hoursOf(query)),
    async drifts(query = {}) {
      const request = pageRequest(query, ['last_at']);
      const filter = { meter_id: text(query['meter_id']), isOpen: flag(query, 'open') };
      const found = await selectDrifts(database, request, filter);
      return { ...found, page: request.page, limit: request.limit };
    },
    totals: () => selectTotals(database, lowUnits),
  };
}

function hoursOf(query: ListQuery): number {
  const value = query['hours'];
  if (value === undefined || value === '') return 24;
  const hours = Number(value);
  if (Number.isFinite(hours) && hours > 0 && hours <= hoursMax) return hours;
  throw wrong('hours', `must be more than 0 and at most ${hoursMax}`);
}

function flag(query: ListQuery, name: string): boolean | null {
  const value = query[name];
  if (value === undefined || value === null || value === '') return null;
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw wrong(name, 'must be true or false');
}

function wrong(field: string, message: string): DomainError {
  return new DomainError('SCHEMA_INVALID', `The query is wrong: ${field} ${message}.`, {
    details: [{ path: `/${field}`, message }],
  });
}

/** A NUL cannot be stored, so it finds nothing: `\uFFFD` stands for it. */
function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.replaceAll('\u0000', '\uFFFD') : null;
}

import type { Database } from '../database/database.js';
import type { ErrorDetail } from '../errors.js';
import { pageRequest, refuseWrong, type ListQuery, type Page } from '../http/page.js';
import { spanOf, type Span, type SpanRule } from '../statistics/span.js';
import {
  selectTotals,
  selectUnminted,
  selectUnmintedWallets,
  type Amount,
  type UnmintedFilter,
  type UnmintedReading,
  type UnmintedWallet,
} from './unminted-store.js';

export type { Amount, UnmintedReading, UnmintedWallet } from './unminted-store.js';

/** What the lists can be sorted by, the default first. */
export const unmintedSorts = ['reading_timestamp', 'submitted_at', 'kwh_amount', 'meter_id'] as const;
export const walletSorts = ['kwh', 'readings', 'wallet_address'] as const;
export const unmintedSpan: SpanRule = { daysDefault: 31, daysMax: 366 };
export const mintableChoices = ['true', 'false', 'all'] as const;

/** Of the same span and filters as the list, whatever `mintable` says. */
export interface Beside {
  readonly start: string;
  readonly end: string;
  readonly totals: Amount;
  readonly not_mintable: { readonly mock: Amount; readonly no_wallet: Amount };
}

/**
 * Readings that were not minted ([H-16]), from `start` (31 days ago) up to `end`; filters wallet_address, meter_id, and
 * mintable: true (the default), false or all. Each throws DomainError SCHEMA_INVALID naming the field that is wrong.
 */
export interface UnmintedLists {
  readings(query?: ListQuery): Promise<Page<UnmintedReading> & Beside>;
  wallets(query?: ListQuery): Promise<Page<UnmintedWallet> & Beside>;
}

export function createUnmintedLists(database: Database, now: () => number = Date.now): UnmintedLists {
  async function beside(span: Span, filter: UnmintedFilter): Promise<Beside> {
    const { mintable, mock, no_wallet } = await selectTotals(database, span, filter);
    return {
      start: new Date(span.start).toISOString(),
      end: new Date(span.end).toISOString(),
      totals: mintable,
      not_mintable: { mock, no_wallet },
    };
  }

  return {
    async readings(query = {}) {
      const request = pageRequest(query, unmintedSorts);
      const span = spanOf(request, unmintedSpan, now());
      const filter = filterOf(query);
      const data = await selectUnminted(database, span, request, filter);
      const sums = await beside(span, filter);
      return {
        data,
        page: request.page,
        limit: request.limit,
        total: totalOf(sums, filter),
        ...sums,
      };
    },
    async wallets(query = {}) {
      const request = pageRequest(query, walletSorts);
      const span = spanOf(request, unmintedSpan, now());
      const filter = filterOf(query);
      const found = await selectUnmintedWallets(database, span, request, filter);
      return { ...found, page: request.page, limit: request.limit, ...(await beside(span, filter)) };
    },
  };
}

function totalOf({ totals, not_mintable }: Beside, { mintable }: UnmintedFilter): number {
  const others = not_mintable.mock.readings + not_mintable.no_wallet.readings;
  if (mintable === null) return totals.readings + others;
  return mintable ? totals.readings : others;
}

function filterOf(query: ListQuery): UnmintedFilter {
  const wrong: ErrorDetail[] = [];
  const said = query['mintable'] ?? '';
  const choice =
    said === '' ? 'true' : mintableChoices.find((each) => each === said || each === spelled(said));
  if (choice === undefined)
    wrong.push({ path: '/mintable', message: `must be one of ${mintableChoices.join(', ')}` });
  refuseWrong(wrong);
  return {
    wallet: text(query['wallet_address']),
    meter: text(query['meter_id']),
    mintable: choice === 'all' ? null : choice === 'true',
  };
}

/** A flow may ask with a boolean. */
function spelled(said: unknown): string | undefined {
  return typeof said === 'boolean' ? String(said) : undefined;
}

/** A NUL cannot be stored, so it finds nothing: `\uFFFD` stands for it. */
export function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.replaceAll('\u0000', '\uFFFD') : null;
}

import type { Database } from '../database/database.js';
import type { ErrorDetail } from '../errors.js';
import { pageRequest, refuseWrong, type ListQuery, type Page } from '../http/page.js';
import { spanOf, type Span, type SpanRule } from '../statistics/span.js';
import {
  selectUnminted,
  selectUnmintedDays,
  selectUnmintedWallets,
  type Amount,
  type Obstacle,
  type UnmintedDay,
  type UnmintedSum,
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
  return {
    async readings(query = {}) {
      const request = pageRequest(query, unmintedSorts);
      const span = spanOf(request, unmintedSpan, now());
      const filter = filterOf(query);
      const days = await selectUnmintedDays(database, span, filter);
      const total = readingsOf(days.filter(isWanted(filter)));
      const { page, limit, offset } = request;
      if (request.sort !== unmintedSorts[0] && total > sortedMax)
        refuseWrong([
          {
            path: '/sort',
            message: `by ${request.sort} is for ${sortedMax} readings at the most: narrow start and end, or name a meter or a wallet`,
          },
        ]);
      const part =
        request.sort === unmintedSorts[0] ? partOf(days.filter(isWanted(filter)), request) : { span, offset };
      const within = { start: Math.max(span.start, part.span.start), end: Math.min(span.end, part.span.end) };
      const data =
        offset < total
          ? await selectUnminted(database, within, { ...request, offset: part.offset }, filter)
          : [];
      return { data, page, limit, total, ...beside(span, days) };
    },
    async wallets(query = {}) {
      const request = pageRequest(query, walletSorts);
      const span = spanOf(request, unmintedSpan, now());
      const filter = filterOf(query);
      const { data, total, sums } = await selectUnmintedWallets(database, span, request, filter);
      return { data, page: request.page, limit: request.limit, total, ...beside(span, sums) };
    },
  };
}

const dayMs = 86_400_000;
/** More than these are listed by their time only: sorting them otherwise reads them all. */
const sortedMax = 1_000_000;

function beside({ start, end }: Span, sums: readonly UnmintedSum[]): Beside {
  const of = (reason: Obstacle | null): Amount => {
    const rows = sums.filter((each) => each.reason === reason);
    const tenThousandths = rows.reduce((sum, { kwh }) => sum + BigInt(Math.round(kwh * 10_000)), 0n);
    return { readings: readingsOf(rows), kwh: Number(tenThousandths) / 10_000 };
  };
  return {
    start: new Date(start).toISOString(),
    end: new Date(end).toISOString(),
    totals: of(null),
    not_mintable: { mock: of('mock'), no_wallet: of('no_wallet') },
  };
}

function readingsOf(days: readonly UnmintedSum[]): number {
  return days.reduce((sum, { readings }) => sum + readings, 0);
}

function isWanted({ mintable }: UnmintedFilter): (day: UnmintedDay) => boolean {
  return ({ reason }) => mintable === null || (reason === null) === mintable;
}

/** The days on which a page in order of time lies, and how many readings of them come before it. */
function partOf(
  days: readonly UnmintedDay[],
  {
    order,
    offset,
    limit,
  }: { readonly order: 'asc' | 'desc'; readonly offset: number; readonly limit: number },
): { span: Span; offset: number } {
  const inOrder = order === 'desc' ? days : days.toReversed();
  let before = 0;
  let skipped = 0;
  const touched: number[] = [];
  for (const { day } of inOrder.filter((each, index) => each.day !== inOrder[index - 1]?.day)) {
    const readings = readingsOf(inOrder.filter((each) => each.day === day));
    if (before + readings <= offset) skipped += readings;
    else if (before < offset + limit) touched.push(day);
    before += readings;
  }
  // One more on the far side: what was minted since it was counted moves the others up.
  const first = Math.min(...touched);
  const last = Math.max(...touched) + dayMs;
  return {
    span: order === 'desc' ? { start: first - dayMs, end: last } : { start: first, end: last + dayMs },
    offset: offset - skipped,
  };
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

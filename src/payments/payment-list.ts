import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import { selectPayments, selectTotals, type ListedPayment, type MoneyTotals } from './payment-list-store.js';

export type { ListedPayment, MoneyTotals } from './payment-list-store.js';

/**
 * What became of money, or of the request for it. Of payments: accepted, suspense, allocated (was in suspense),
 * reversed, failed, disputed, credited (was disputed, stands under another payment now), reversal. Of prompts without a payment yet: requested, open, failed, expired.
 */
export const paymentStatuses = [
  'accepted',
  'suspense',
  'allocated',
  'reversed',
  'failed',
  'disputed',
  'credited',
  'reversal',
  'requested',
  'open',
  'expired',
] as const;
export type PaymentStatus = (typeof paymentStatuses)[number];

export const suspenseStatuses = ['suspense', 'allocated', 'reversed'] as const;

export const paymentChannels = ['stk', 'c2b', 'query', 'operator'] as const;

/** Which ones; null: any. */
export interface PaymentFilter {
  readonly statuses: readonly PaymentStatus[] | null;
  /** Only money that came without a meter. */
  readonly wasSuspense: boolean;
  readonly meter: string | null;
  /** The account whose meters alone count. */
  readonly owner: string | null;
  readonly receipt: string | null;
  readonly channel: string | null;
}

/** Each throws DomainError SCHEMA_INVALID naming the field of the query that is wrong. */
export interface PaymentList {
  /** [H-12]: payments and prompts, newest first; filters status (comma list), meter, receipt, channel, start, end. `owner`: only for meters that are this account's now. */
  payments(query?: ListQuery, owner?: string | null): Promise<Page<ListedPayment>>;
  /** [H-15]: money that found no meter; what still waits unless `status` says otherwise. */
  suspense(query?: ListQuery): Promise<Page<ListedPayment>>;
  /** The last 24 hours and what waits for a person. */
  totals(): Promise<MoneyTotals>;
}

export function createPaymentList(database: Database): PaymentList {
  async function list(query: ListQuery, filter: PaymentFilter): Promise<Page<ListedPayment>> {
    const request = pageRequest(query, ['received_at']);
    const found = await selectPayments(database, request, filter);
    return { ...found, page: request.page, limit: request.limit };
  }
  return {
    payments: async (query = {}, owner = null) =>
      list(query, {
        statuses: statusesOf(query, paymentStatuses),
        wasSuspense: false,
        meter: text(query['meter_id']),
        owner,
        receipt: text(query['receipt']),
        channel: oneOf(query, 'channel', paymentChannels),
      }),
    suspense: async (query = {}) =>
      list(query, {
        statuses: statusesOf(query, suspenseStatuses) ?? ['suspense'],
        wasSuspense: true,
        meter: null,
        owner: null,
        receipt: text(query['receipt']),
        channel: null,
      }),
    totals: () => selectTotals(database),
  };
}

function statusesOf(query: ListQuery, allowed: readonly PaymentStatus[]): PaymentStatus[] | null {
  const given: unknown = query['status'];
  // `?status=a&status=b` means the same as `?status=a,b`.
  const value = text(Array.isArray(given) ? given.join(',') : given);
  if (value === null) return null;
  const named = value.split(',').map((name) => allowed.find((status) => status === name.trim()));
  const known = named.filter((status) => status !== undefined);
  if (known.length === named.length) return known;
  throw wrong('status', `must be one or more of ${allowed.join(', ')}`);
}

function oneOf(query: ListQuery, name: string, allowed: readonly string[]): string | null {
  const value = text(query[name]);
  if (value === null || allowed.includes(value)) return value;
  throw wrong(name, `must be one of ${allowed.join(', ')}`);
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

import type { Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import { pageRequest, refuseWrong, type ListQuery, type Page } from '../http/page.js';
import { moneyNumber, parseAmount, toCents, unitsNumber } from './money.js';
import {
  countLines,
  findAccounts,
  listLines,
  type LineRow,
  type StatementFilter,
} from './statement-store.js';
import type { TransactionKind } from './entries.js';

/** One line of a meter's statement: energy, and the money beside it. Units have 4 decimals, money 2. */
export interface StatementLine {
  readonly id: string;
  readonly kind: TransactionKind;
  readonly posted_at: string;
  /** By the meter or the provider. */
  readonly occurred_at: string;
  /** What came (positive) or went; 0 of a line that only moves money. */
  readonly units: number;
  /** After this line. */
  readonly balance: number;
  readonly receipt: string | null;
  readonly memo: string | null;
  /** Null when no money moved: consumption. */
  readonly money: StatementMoney | null;
}

/** paid = energy_cost + payment_fee + arrears_paid + what the credit grew by. */
export interface StatementMoney {
  readonly currency: string;
  /** By the customer; negative of a reversal. */
  readonly paid: number;
  readonly energy_cost: number;
  readonly payment_fee: number;
  /** Newly owed: a monthly fee or a charge. */
  readonly charged: number;
  readonly arrears_paid: number;
  /** Price and units of each block. */
  readonly blocks: readonly { readonly price: number; readonly units: number }[];
  readonly tariff_plan: string | null;
  /** After this line: the remainder, and what is owed. */
  readonly credit: number;
  readonly arrears: number;
}

/** What the filter `kind` takes. */
export const statementKinds = [
  'sale',
  'allocation',
  'reversal',
  'consumption',
  'charge',
  'token',
] as const satisfies readonly TransactionKind[];

/**
 * [H-14]: the lines of a meter, newest first, each with the balance after it. Filters: kind, and
 * start (at or after) and end (before) of the posting.
 * @throws DomainError METER_UNKNOWN for a meter that neither is registered nor ever held anything, SCHEMA_INVALID
 */
export async function statementOf(
  session: Session,
  meterNumber: string,
  query: ListQuery = {},
): Promise<Page<StatementLine>> {
  const { page, limit, offset, order, start, end } = pageRequest(query, ['posted_at']);
  const filter: StatementFilter = { start, end, kind: asKind(query['kind']) };
  const accounts = await findAccounts(session, meterNumber.replaceAll('\0', '\uFFFD'));
  if (accounts === undefined) throw new DomainError('METER_UNKNOWN', 'No meter has this number.');
  const rows = await listLines(session, accounts, filter, { limit, offset, order });
  const total = await countLines(session, accounts, filter);
  return { data: rows.map(asLine), page, limit, total };
}

function asKind(value: unknown): TransactionKind | null {
  if (value === undefined || value === null || value === '') return null;
  const found = statementKinds.find((kind) => kind === value);
  if (found === undefined)
    refuseWrong([{ path: '/kind', message: `must be one of ${statementKinds.join(', ')}` }]);
  return found ?? null;
}

function asLine(row: LineRow): StatementLine {
  return {
    id: row.id,
    kind: row.kind,
    posted_at: row.posted_at.toISOString(),
    occurred_at: row.occurred_at.toISOString(),
    units: unitsNumber(parseAmount(row.units)),
    balance: unitsNumber(parseAmount(row.balance)),
    receipt: row.receipt,
    memo: row.memo,
    money: row.currency === null ? null : asMoney(row, row.currency),
  };
}

function asMoney(row: LineRow, currency: string): StatementMoney {
  return {
    currency,
    paid: money(row.paid),
    energy_cost: money(row.energy_cost),
    payment_fee: money(row.payment_fee),
    charged: money(row.charged),
    arrears_paid: money(row.arrears_paid),
    blocks: row.blocks,
    tariff_plan: row.tariff_plan,
    credit: moneyNumber(toCents(parseAmount(row.credit))),
    arrears: money(row.arrears),
  };
}

function money(text: string): number {
  return moneyNumber(parseAmount(text));
}

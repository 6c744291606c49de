import { createPrepaidMeters, type PrepaidMeters } from '../balances/prepaid-meters.js';
import type { Database } from '../database/database.js';
import type { Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import { creditDisputed } from '../payments/dispute.js';
import { createPaymentList, type PaymentList } from '../payments/payment-list.js';
import { balanceOf, type MeterBalance } from './balance.js';
import { charge } from './charge.js';
import { allocationAnswer, chargeAnswer, reversalAnswer, settlementAnswer } from './desk-answers.js';
import type {
  AllocationAnswer,
  ChargeAnswer,
  MoneyAtAGlance,
  ReversalAnswer,
  SettlementAnswer,
} from './desk-answers.js';
import { reverse } from './reversal.js';
import { statementOf, type StatementLine } from './statement.js';
import { allocate } from './suspense.js';
import { createTariff, listTariffs, type TariffVersion } from './tariffs.js';

export type * from './desk-answers.js';

/**
 * What people ask of the ledger and do with it, with answers as the HTTP API gives them. A meter is named by its
 * meter_id or its drn. Bodies are checked here: DomainError SCHEMA_INVALID names what is wrong.
 */
export interface LedgerDesk extends Pick<PaymentList, 'payments' | 'suspense'> {
  /** [H-14] @throws as `balanceOf` of balance.ts */
  balance(meter: string): Promise<MeterBalance>;
  /** [H-14] @throws as `statementOf` of statement.ts */
  statement(meter: string, query?: ListQuery): Promise<Page<StatementLine>>;
  /** `{meter_number}`; as `allocate` of suspense.ts. */
  allocate(id: string, body: unknown, caller: Caller): Promise<AllocationAnswer>;
  /** `{meter_number, amount?, reason}`; as `creditDisputed` of payments/dispute.ts. */
  creditDisputed(id: string, body: unknown, caller: Caller): Promise<SettlementAnswer>;
  /** `{reason?}`; as `reverse` of reversal.ts. */
  reverse(receipt: string, body: unknown, caller: Caller): Promise<ReversalAnswer>;
  /** `{amount, memo}`; as `charge` of charge.ts. */
  charge(meter: string, body: unknown, caller: Caller): Promise<ChargeAnswer>;
  /** Versions of plans by plan, the newest first; filter: `plan`. */
  tariffs(query?: ListQuery): Promise<Page<TariffVersion>>;
  /** As `createTariff` of tariffs.ts. */
  addTariff(body: unknown, caller: Caller): Promise<TariffVersion>;
  meters: PrepaidMeters['list'];
  meter: PrepaidMeters['get'];
  history: PrepaidMeters['history'];
  drifts: PrepaidMeters['drifts'];
  totals(): Promise<MoneyAtAGlance>;
}

/** @param lowUnits below it a balance is low, in units */
export function createLedgerDesk(database: Database, options: { readonly lowUnits: number }): LedgerDesk {
  const list = createPaymentList(database);
  const prepaid = createPrepaidMeters(database, options);
  return {
    balance: (meter) => balanceOf(database, meter),
    statement: (meter, query) => statementOf(database, meter, query),
    payments: (query, owner) => list.payments(query, owner),
    suspense: (query) => list.suspense(query),
    async allocate(id, body, caller) {
      return allocationAnswer(id, await allocate(database, id, meterNumberOf(body), caller));
    },
    async creditDisputed(id, body, caller) {
      const { amount } = fieldsOf(body);
      if (amount !== undefined && typeof amount !== 'number' && typeof amount !== 'string')
        throw invalid('amount', 'must be money above 0 with at most 2 decimals');
      const reason = textOf(body, 'reason', 200) ?? '';
      const finding = { meterNumber: meterNumberOf(body), amount, reason };
      return settlementAnswer(await creditDisputed(database, id, finding, caller));
    },
    async reverse(receipt, body, caller) {
      return reversalAnswer(await reverse(database, receipt, caller, textOf(body, 'reason', 200)));
    },
    async charge(meterNumber, body, caller) {
      const { amount } = fieldsOf(body);
      if (typeof amount !== 'number' && typeof amount !== 'string')
        throw invalid('amount', 'must be money above 0 with at most 2 decimals');
      const memo = textOf(body, 'memo', 200) ?? '';
      return chargeAnswer(await charge(database, { meterNumber, amount, memo }, caller));
    },
    async tariffs(query = {}) {
      const { page, limit, offset } = pageRequest(query, ['plan']);
      const all = await listTariffs(database, textOf(query, 'plan', 50));
      return { data: all.slice(offset, offset + limit), page, limit, total: all.length };
    },
    addTariff: (body, caller) => createTariff(database, body, caller),
    meters: (query) => prepaid.list(query),
    meter: (meter) => prepaid.get(meter),
    history: (meter, query) => prepaid.history(meter, query),
    drifts: (query) => prepaid.drifts(query),
    async totals() {
      const [money, meters] = await Promise.all([list.totals(), prepaid.totals()]);
      return { ...money, ...meters };
    },
  };
}

function fieldsOf(body: unknown): Readonly<Record<string, unknown>> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return { ...body };
  return {};
}

function meterNumberOf(body: unknown): string {
  const meterNumber = textOf(body, 'meter_number', 50);
  if (meterNumber === null) throw invalid('meter_number', 'must be a meter_id or a drn');
  return meterNumber;
}

/** Null when it is absent. */
function textOf(body: unknown, field: string, lengthMax: number): string | null {
  const value = fieldsOf(body)[field];
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string' && value.length <= lengthMax && !value.includes('\0')) return value;
  throw invalid(field, `must be a text of at most ${lengthMax} characters`);
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('SCHEMA_INVALID', `The request is not valid: ${field} ${message}.`, {
    details: [{ path: `/${field}`, message }],
  });
}

import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { writtenTime } from '../../src/payments/provider-values.js';
import { ensureDefaultTariff } from '../../src/ledger/tariff-store.js';

export const phone = '254712345678';
/** A minute ago, in the provider's whole seconds: a bill belongs to prompts of its own day only. */
export const paidAt = new Date(Math.floor(Date.now() / 1000) * 1000 - 60_000);
const requestedAt = new Date(paidAt.getTime() - 30_000);

/** A result of a prompt as the provider documents it, its items in another order and a Balance without a Value. */
export function stkBody(checkout: string, overrides: Partial<StkFields> = {}): object {
  const { amount = 100, receipt = 'NLJ7RT61SV', code = 0, payer = Number(phone) } = overrides;
  const Item = [
    { Name: 'PhoneNumber', Value: payer },
    { Name: 'Balance' },
    { Name: 'MpesaReceiptNumber', Value: receipt },
    { Name: 'TransactionDate', Value: Number(writtenTime(paidAt.getTime())) },
    { Name: 'Amount', Value: amount },
  ];
  return {
    Body: {
      stkCallback: {
        MerchantRequestID: '29115-34620561-1',
        CheckoutRequestID: checkout,
        ResultCode: code,
        ResultDesc:
          code === 0 ? 'The service request is processed successfully.' : 'Request cancelled by user.',
        ...(code === 0 ? { CallbackMetadata: { Item } } : {}),
      },
    },
  };
}

export interface StkFields {
  readonly amount: unknown;
  readonly receipt: string;
  readonly code: number;
  readonly payer: unknown;
}

/** A bill payment, texts throughout, the payer masked. */
export function c2bBody(overrides: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    TransactionType: 'Pay Bill',
    TransID: 'RKTQDM7W6S',
    TransTime: writtenTime(paidAt.getTime()),
    TransAmount: '100.00',
    BusinessShortCode: '600638',
    BillRefNumber: 'METER001',
    InvoiceNumber: '',
    OrgAccountBalance: '',
    ThirdPartyTransID: '',
    MSISDN: '2547*****678',
    FirstName: 'John',
    MiddleName: '',
    LastName: 'Doe',
    ...overrides,
  };
}

/** The receipts of a test differ by number. */
export function receiptOf(number: number): string {
  return `RK${String(number).padStart(8, '0')}`;
}

export interface House extends TestDatabase {
  rows<R extends object = Record<string, unknown>>(text: string, ...values: unknown[]): Promise<R[]>;
  register(meterId: string, drn?: string): Promise<void>;
  /** As if POST /api/payments had been answered. */
  prompt(checkout: string, overrides?: Readonly<Record<string, unknown>>): Promise<string>;
  /** Units of a meter as the ledger has them. */
  balance(meterId: string): Promise<number>;
  /** What is wrong with the books; empty when nothing is. */
  faults(): Promise<unknown[]>;
}

/** 25.00 KES per unit, METER001 with a DRN. */
export async function openHouse(): Promise<House> {
  const test = await createTestDatabase();
  const { database } = test;
  await ensureDefaultTariff(database, {
    pricePerUnit: '25.00',
    currency: 'KES',
    timeZone: 'Africa/Nairobi',
  });
  const rows: House['rows'] = async <R extends object>(text: string, ...values: unknown[]) =>
    (await database.query<R>({ text, values })).rows;

  const house: House = {
    ...test,
    database,
    rows,
    async register(meterId, drn) {
      await rows(
        `insert into devices (id, meter_id, drn, type, mqtt_user, password_hash) values ($1, $1, $2, 'meter', $1, '')`,
        meterId,
        drn ?? null,
      );
    },
    async prompt(checkout, overrides = {}) {
      const fields = {
        checkout_request_id: checkout,
        meter_number: 'METER001',
        meter_id: 'METER001',
        amount: '100.00',
        currency: 'KES',
        phone_number: phone,
        caller: 'test',
        state: 'open',
        requested_at: requestedAt,
        ask_at: null,
        ...overrides,
      };
      const names = Object.keys(fields);
      const [row] = await rows<{ id: string }>(
        `insert into payment_prompts (${names.join(', ')}) values (${names.map((_, at) => `$${at + 1}`).join(', ')}) returning id`,
        ...Object.values(fields),
      );
      return row?.id ?? '';
    },
    async balance(meterId) {
      const [row] = await rows<{ balance: number }>(
        `select coalesce(sum(e.amount), 0)::float8 as balance
           from accounts a join ledger_entries e on e.account_id = a.id where a.meter_id = $1 and a.kind = 'units'`,
        meterId,
      );
      return row?.balance ?? 0;
    },
    faults: () =>
      rows(`select a.commodity, a.currency, sum(e.amount)::text as sum
              from ledger_entries e join accounts a on a.id = e.account_id
             group by 1, 2 having sum(e.amount) <> 0
            union all
            select a.meter_id, a.kind, a.balance::text
              from accounts a left join ledger_entries e on e.account_id = a.id
             where a.meter_id is not null group by a.id having a.balance <> coalesce(sum(e.amount), 0)`),
  };
  await house.register('METER001', '09000030529');
  await house.register('METER002');
  return house;
}

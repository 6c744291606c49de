/**
 * Which payments the load consists of, and how often the provider tells of each: real providers repeat a callback, and
 * tell of a paid prompt through both channels. Payment `n` is the same in every run and for every contestant.
 */
import { c2bBody, phone, receiptOf, stkBody } from '../../payments/callbacks.js';

export interface PaymentPlan {
  readonly meterIds: readonly string[];
  /** When all were paid, Unix ms. */
  readonly paidAt: number;
}

export interface PlannedPayment {
  readonly n: number;
  readonly channel: 'stk' | 'c2b';
  /** Whole units of the currency; at 25 a unit of energy nothing is left over. */
  readonly amount: number;
  readonly meterId: string;
}

export interface Callback {
  /** Of which payment. */
  readonly n: number;
  readonly path: string;
  readonly body: string;
}

export const shortCode = '600638';
export const callbackSecret = 'the-path-secret-of-the-bench-0123456789';
export { phone };

/** Ten-thousandths of a unit of energy for one unit of the currency, at the default tariff of 25.00. */
export const unitsPerMoney = 400;
/** A repeat that does not come at once comes so many callbacks later. */
const repeatLater = 100;

/** One of five is a prompt; of ten, two customers pay for the same meter at the same time. */
export function paymentOf({ meterIds }: PaymentPlan, n: number): PlannedPayment {
  const meter = n % 10 === 6 ? n - 1 : n;
  return {
    n,
    channel: n % 5 === 0 ? 'stk' : 'c2b',
    amount: 10 + (n % 90),
    meterId: meterIds[meter % meterIds.length] ?? '',
  };
}

export function checkoutOf(n: number): string {
  return `ws_CO_${n}`;
}

/**
 * The callbacks of payments `from` … `from + count − 1`. Three of ten are told of twice: one at once, one later, and one
 * prompt through the other channel as well.
 */
export function callbacksOf(plan: PaymentPlan, from: number, count: number): Callback[] {
  const all: Callback[] = [];
  const later: { readonly at: number; readonly callback: Callback }[] = [];
  for (let n = from; n < from + count; n += 1) {
    const payment = paymentOf(plan, n);
    const callback = payment.channel === 'stk' ? result(payment) : bill(payment, plan);
    all.push(callback);
    if (n % 10 === 3) all.push(callback);
    if (n % 10 === 5) all.push(bill(payment, plan));
    if (n % 10 === 8) later.push({ at: all.length + repeatLater, callback });
    while (later[0] !== undefined && later[0].at <= all.length) all.push(...take(later));
  }
  return [...all, ...later.map(({ callback }) => callback)];
}

function take(later: { readonly callback: Callback }[]): Callback[] {
  return later.splice(0, 1).map(({ callback }) => callback);
}

function bill({ n, amount, meterId }: PlannedPayment, { paidAt }: PaymentPlan): Callback {
  const body = c2bBody({
    TransID: receiptOf(n),
    TransAmount: `${amount}.00`,
    BillRefNumber: meterId,
    BusinessShortCode: shortCode,
    TransTime: providerTime(paidAt),
  });
  return {
    n,
    path: `/api/payments/c2b/confirmation/${callbackSecret}`,
    body: JSON.stringify(body),
  };
}

function result({ n, amount }: PlannedPayment): Callback {
  const body = stkBody(checkoutOf(n), { amount, receipt: receiptOf(n) });
  return { n, path: `/api/payments/stk/${callbackSecret}`, body: JSON.stringify(body) };
}

/** East Africa Time, as yyyyMMddHHmmss. */
function providerTime(time: number): string {
  return new Date(time + 3 * 3_600_000).toISOString().replace(/\D/g, '').slice(0, 14);
}

import type { MeterTotals } from '../balances/prepaid-meters.js';
import type { Settlement } from '../payments/dispute.js';
import type { MoneyTotals } from '../payments/payment-list.js';
import type { Charged } from './charge.js';
import { moneyNumber, unitsNumber } from './money.js';
import type { Reversed } from './reversal.js';
import type { Sale } from './sale.js';

/** What an allocation sold. Energy in units, money in `currency`. */
export interface AllocationAnswer {
  readonly id: number;
  readonly meter_id: string;
  readonly amount: number;
  readonly currency: string;
  readonly units: number;
  /** Of the meter after it. */
  readonly balance: number;
  readonly payment_fee: number;
  readonly arrears_paid: number;
  /** Too little for the next 0.0001 unit: used by the next payment. */
  readonly credit: number;
  readonly tariff_plan: string;
}

/** What a disputed payment bought once an operator had credited it. */
export interface SettlementAnswer extends AllocationAnswer {
  /** The payment that credits it stands under this receipt. */
  readonly receipt: string;
}

/** What a reversal took back. */
export interface ReversalAnswer {
  /** Of the payment that says so. */
  readonly id: number;
  readonly receipt: string;
  readonly amount: number;
  readonly currency: string;
  /** null: the money was in suspense. */
  readonly meter_id: string | null;
  /** What the meter lost. */
  readonly units: number;
  /** Of the meter after it; below 0 when the units are used up. */
  readonly balance: number | null;
  /** What the customer owes after it. */
  readonly arrears: number;
}

export interface ChargeAnswer {
  readonly meter_id: string;
  readonly amount: number;
  readonly currency: string;
  /** All that the customer owes now. */
  readonly arrears: number;
}

export type MoneyAtAGlance = MoneyTotals & MeterTotals;

export function allocationAnswer(id: string, sale: Sale): AllocationAnswer {
  return {
    id: Number(id),
    meter_id: sale.meterId,
    amount: moneyNumber(sale.amount),
    currency: sale.currency,
    units: Number(sale.units) / 10_000,
    balance: unitsNumber(sale.balance),
    payment_fee: moneyNumber(sale.paymentFee),
    arrears_paid: moneyNumber(sale.arrearsPaid),
    credit: moneyNumber(sale.creditAfter),
    tariff_plan: sale.plan,
  };
}

export function settlementAnswer(settlement: Settlement): SettlementAnswer {
  return { receipt: settlement.receipt, ...allocationAnswer(settlement.paymentId, settlement) };
}

export function reversalAnswer(reversed: Reversed): ReversalAnswer {
  return {
    id: Number(reversed.paymentId),
    receipt: reversed.receipt,
    amount: moneyNumber(reversed.amount),
    currency: reversed.currency,
    meter_id: reversed.meterId,
    units: Number(reversed.units) / 10_000,
    balance: reversed.balance === null ? null : unitsNumber(reversed.balance),
    arrears: moneyNumber(reversed.arrears),
  };
}

export function chargeAnswer({ meterId, amount, currency, arrears }: Charged): ChargeAnswer {
  return {
    meter_id: meterId,
    amount: moneyNumber(amount),
    currency,
    arrears: moneyNumber(arrears),
  };
}

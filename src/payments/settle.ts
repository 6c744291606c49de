import type { Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import { lockSales, type Sale } from '../ledger/sale.js';
import { readFacts, type Facts } from './facts.js';
import { judge, type Rules, type Verdict } from './judge.js';
import { enterMoney, occasionsOf } from './enter-money.js';
import { keepApart } from './keep-apart.js';
import type { Notice } from './notice.js';
import type { Outcome } from './payment.js';
import { closePrompts, insertPayments, type NewPayment, type PromptEnd } from './payment-store.js';

/** A notice on its way through. */
export interface Case {
  readonly notice: Notice;
  readonly received_at: number;
  /** Its prompt is not waited for any longer. */
  readonly isLate: boolean;
}

/** What became of a notice, committed when the transaction is. */
export interface Settled {
  readonly outcome: Outcome | 'early';
  readonly payment_id: string | null;
  /** The row, made now or before; null when it has none of its own. */
  readonly payment: NewPayment | null;
  readonly sale: Sale | null;
}

/** Somebody else committed one of these receipts just now: to be settled again, by what is known then. */
export class Overtaken extends Error {}

/**
 * [P-1] for a group of notices, no two of them about the same receipt, prompt or callback, in one transaction: payments,
 * ledger, balance commands, prompts. Locks are taken in the one order that keeps everybody from waiting in a circle:
 * prompts, receipts, accounts. What needs no answer of another travels with it: six ways to the database, not twelve,
 * done in the order in which they are asked.
 * @param tx planned by indexes
 * @param suspend keeps what would be credited in suspense: it could not be sold
 */
export async function settle(
  tx: Session,
  cases: readonly Case[],
  rules: Rules,
  suspend = false,
): Promise<Settled[]> {
  const notices = cases.map(({ notice }) => notice);
  const facts = await readFacts(tx, notices);
  const judged = keepApart(
    cases.map((one) => {
      const known = one.isLate ? { ...facts, isPromptUnderWay: false } : facts;
      return { one, notice: one.notice, verdict: judge(one.notice, known, rules) };
    }),
  ).map(({ one, verdict }) => ({ verdict, payment: paymentOf(one, verdict, facts, suspend) }));
  const payments = judged.flatMap(({ payment }) => payment ?? []);
  const [ids, basis] = await Promise.all([
    insertPayments(tx, payments),
    lockSales(tx, occasionsOf(payments)),
  ]);
  const settled = judged.map((one) => Object.assign(one, withId(one.verdict, one.payment, ids)));
  const stored = settled.flatMap(({ payment, payment_id }) =>
    payment === null || payment_id === null ? [] : [{ payment, payment_id }],
  );
  const ends = settled.flatMap((one) => endOf(one.verdict, one.payment, one.payment_id));
  const [sales] = await Promise.all([enterMoney(tx, stored, basis), closePrompts(tx, ends)]);
  return settled.map(({ outcome, payment_id, payment }) => {
    const sale = payment_id === null ? undefined : sales.get(payment_id);
    return { outcome, payment_id, payment, sale: sale ?? null };
  });
}

function withId(
  verdict: Verdict,
  payment: NewPayment | null,
  ids: ReadonlyMap<string, string>,
): Pick<Settled, 'outcome' | 'payment_id'> {
  if (payment === null) {
    const known = verdict.outcome === 'duplicate' ? verdict.known : undefined;
    return { outcome: verdict.outcome, payment_id: known?.id ?? null };
  }
  const id = ids.get(payment.notice.sha256);
  if (id !== undefined) return { outcome: payment.outcome, payment_id: id };
  if (payment.outcome === 'accepted' || payment.outcome === 'suspense') throw new Overtaken();
  return { outcome: 'duplicate', payment_id: null };
}

function paymentOf(one: Case, verdict: Verdict, facts: Facts, suspend: boolean): NewPayment | null {
  const { notice, received_at } = one;
  if (verdict.outcome === 'duplicate' || verdict.outcome === 'early') return null;
  const prompt = 'prompt' in verdict ? verdict.prompt : undefined;
  const isMoney = verdict.outcome === 'accepted' || verdict.outcome === 'suspense';
  const { currency } = facts;
  if (isMoney && currency === null)
    throw new DomainError('CONFIGURATION', 'There is no tariff: the plan "default" has no version.');
  const isKept = suspend && verdict.outcome === 'accepted';
  return {
    notice,
    received_at,
    outcome: isKept ? 'suspense' : verdict.outcome,
    reason: isKept ? 'SALE_FAILED' : 'reason' in verdict ? (verdict.reason ?? notice.result_desc) : null,
    // The provider's answer to a question has none: the prompt itself is what stands for it.
    receipt: notice.receipt ?? (isMoney ? notice.checkout_request_id : null),
    amount: notice.amount ?? prompt?.amount ?? null,
    currency,
    meter_number: notice.meter_number ?? prompt?.meter_number ?? null,
    meter_id: meterIdOf(verdict, isKept),
    phone: notice.phone ?? prompt?.phone_number ?? null,
  };
}

/** The meter that was credited, or that a prompt was for which came to nothing. */
function meterIdOf(verdict: Verdict, isKept: boolean): string | null {
  if (verdict.outcome === 'accepted') return isKept ? null : verdict.meter_id;
  return verdict.outcome === 'failed' ? (verdict.prompt?.meter_id ?? null) : null;
}

/** What a verdict means for the prompt; a disputed one leaves it as it is. */
function endOf(verdict: Verdict, payment: NewPayment | null, payment_id: string | null): PromptEnd[] {
  const prompt = 'prompt' in verdict ? verdict.prompt : undefined;
  if (prompt === undefined || verdict.outcome === 'disputed') return [];
  const failed = verdict.outcome === 'failed';
  const notice = payment?.notice;
  const named = verdict.outcome === 'duplicate' && prompt.state === 'succeeded';
  return [
    {
      id: prompt.id,
      state: failed ? 'failed' : 'succeeded',
      result_code: notice?.result_code ?? (failed ? null : '0'),
      result_desc: notice?.result_desc ?? null,
      payment_id,
      receipt: named ? verdict.receipt : null,
    },
  ];
}

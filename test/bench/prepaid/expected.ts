import type { StepResult } from '../load/load.js';
import { differentReports, prepaidUnits, reportOf } from '../load/reading-plan.js';
import type { ExpectedBook } from './books.js';
import { paymentOf, unitsPerMoney, type Callback, type PaymentPlan } from './payments.js';

export interface Told {
  readonly accepted: readonly Callback[];
  readonly others: readonly Callback[];
}

/**
 * What the load comes to, meter by meter: each payment of which one callback was accepted, each report of which one copy
 * was acknowledged, once. `reports` are all steps of one generator, in their order; `used` is what meters reported
 * beside it, all of it acknowledged.
 */
export function expectedBooks(
  plan: PaymentPlan,
  told: readonly Told[],
  reports: readonly StepResult[],
  used: ReadonlyMap<string, number> = new Map(),
): Map<string, ExpectedBook> {
  const books = new Map(
    plan.meterIds.map((meterId, index) => {
      const beside = used.get(meterId) ?? 0;
      const generated = usedBy(reports, index);
      const book = {
        paid: 0,
        paidMost: 0,
        used: generated.used + beside,
        usedMost: generated.usedMost + beside,
      };
      return [meterId, book];
    }),
  );
  const accepted = paymentsOf(told.map((one) => one.accepted));
  const sent = paymentsOf(told.flatMap((one) => [one.accepted, one.others]));
  for (const n of sent) {
    const { meterId, amount } = paymentOf(plan, n);
    const book = books.get(meterId);
    if (book === undefined) continue;
    book.paidMost += amount * unitsPerMoney;
    if (accepted.has(n)) book.paid += amount * unitsPerMoney;
  }
  return books;
}

/** Different payments. */
export function paymentsOf(callbacks: readonly (readonly Callback[])[]): Set<number> {
  return new Set(callbacks.flat().map(({ n }) => n));
}

function usedBy(steps: readonly StepResult[], meter: number): { used: number; usedMost: number } {
  const own = steps.flatMap((step) => step.meters[meter] ?? []);
  const sent = own.reduce((most, { first, count }) => Math.max(most, first + count), 0);
  const missing = new Set(own.flatMap((one) => one.missing));
  // Reports without any copy that was acknowledged.
  const unheard = [...missing].filter(
    (k) => reportOf(k) === k && !(hasRepeat(k, sent) && !missing.has(k + 1)),
  );
  const different = differentReports(sent);
  return { used: (different - unheard.length) * prepaidUnits, usedMost: different * prepaidUnits };
}

function hasRepeat(k: number, sent: number): boolean {
  return k + 1 < sent && reportOf(k + 1) === k;
}

/**
 * Which readings the load consists of. Reading `k` of a meter was taken `k` seconds after the plan's base, so the rule of
 * spacing (READING_MIN_SPACING_SECONDS=1) looks at every one of them and lets it pass. A number is used once per run.
 */
export interface ReadingPlan {
  /** Unix ms, a whole second. */
  readonly base: number;
  /** How many readings a meter has before they would lie in the future. */
  readonly readingsMax: number;
  /** Consumption reports of prepaid meters, a millisecond apart and every tenth one twice, instead. */
  readonly isPrepaid?: true;
}

/** What a prepaid meter of the bench has before its first report, and what each takes: ten-thousandths of a unit. */
export const prepaidBalance = 9_000_000_000;
export const prepaidUnits = 48;

/** Report `k` repeats this one, byte for byte; itself when it is none of the repeats. */
export function reportOf(k: number): number {
  return k % 10 === 9 ? k - 1 : k;
}

/** How many different reports the first `count` are. */
export function differentReports(count: number): number {
  return count - Math.floor(count / 10);
}

/** After report `k`. */
export function remainingOf(k: number): number {
  return prepaidBalance - prepaidUnits * differentReports(reportOf(k) + 1);
}

const sixAndAHalfDaysMs = 6.5 * 86_400_000;

export function planFrom(now: number): ReadingPlan {
  const base = Math.floor((now - sixAndAHalfDaysMs) / 1_000) * 1_000;
  return { base, readingsMax: sixAndAHalfDaysMs / 1_000 };
}

export function meterIdOf(index: number): string {
  return `BENCH-${String(index).padStart(5, '0')}`;
}

export function timeOf(plan: ReadingPlan, k: number): number {
  return plan.base + (plan.isPrepaid ? reportOf(k) : k * 1_000);
}

export function numberOf(plan: ReadingPlan, time: number): number {
  return (time - plan.base) / 1_000;
}

/** Whole ten-thousandths of a kWh, 1.0000 … 1.9999: always the same number of characters. */
export function energyOf(k: number): number {
  return 10_000 + ((k * 7_919) % 10_000);
}

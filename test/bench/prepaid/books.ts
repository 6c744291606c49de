/** What one meter's payments and reports come to. Ten-thousandths of a unit of energy. */
export interface MeterBook {
  readonly paid: number;
  readonly used: number;
}

/** What it ought to be. `Most` counts what was sent and never answered: that may be there or not. */
export interface ExpectedBook extends MeterBook {
  readonly paidMost: number;
  readonly usedMost: number;
}

/** What a contestant has: all that it wrote, and the balance that came of it. */
export interface FoundBook extends MeterBook {
  readonly balance: number;
}

/** Sums over all meters, ten-thousandths of a unit of energy. */
export interface Difference {
  readonly meters: number;
  /** Whose balance is not the first one plus what was paid less what was used. */
  readonly metersWrong: number;
  /** Answered with "accepted", or acknowledged, and never written. */
  readonly paidMissing: number;
  readonly usedMissing: number;
  /** Written more than once. */
  readonly paidTwice: number;
  readonly usedTwice: number;
  /** Written and gone, as somebody wrote a balance that they had read before: at least so much less, so much more. */
  readonly overwrittenLess: number;
  readonly overwrittenMore: number;
}

/** @param initial what each meter had before the first payment and report */
export function compareBooks(
  expected: ReadonlyMap<string, ExpectedBook>,
  found: ReadonlyMap<string, FoundBook>,
  initial: number,
): Difference {
  const none: FoundBook = { paid: 0, used: 0, balance: initial };
  const total = {
    metersWrong: 0,
    paidMissing: 0,
    usedMissing: 0,
    paidTwice: 0,
    usedTwice: 0,
    overwrittenLess: 0,
    overwrittenMore: 0,
  };
  for (const [meterId, wanted] of expected) {
    const { paid, used, balance } = found.get(meterId) ?? none;
    total.paidMissing += Math.max(0, wanted.paid - paid);
    total.usedMissing += Math.max(0, wanted.used - used);
    total.paidTwice += Math.max(0, paid - wanted.paidMost);
    total.usedTwice += Math.max(0, used - wanted.usedMost);
    const written = initial + paid - used;
    total.overwrittenLess += Math.max(0, written - balance);
    total.overwrittenMore += Math.max(0, balance - written);
    const least = initial + wanted.paid - wanted.usedMost;
    const most = initial + wanted.paidMost - wanted.used;
    if (balance < least || balance > most) total.metersWrong += 1;
  }
  return { meters: expected.size, ...total };
}

export function isRight(difference: Difference): boolean {
  const { meters, ...faults } = difference;
  return meters > 0 && Object.values(faults).every((fault) => fault === 0);
}

import { answerTimeoutMs, isNameless, unitsOf } from './plan.js';

/** What became of one call. Times are of the generator's clock, ms. */
export interface Heard {
  readonly token: number;
  readonly dueAt: number;
  readonly answeredAt: number;
  /** Null: nothing came, however long one waited. */
  readonly status: number | null;
  /** Ten-thousandths of a unit; null: no units were told. */
  readonly units: number | null;
}

/** What vendor and meter did with one token. */
export interface Fact {
  readonly token: number;
  readonly meter: number;
  readonly vendor: 'accepted' | 'turned down';
  /** When the vendor was asked first, and when it answered. */
  readonly calledAt: number;
  readonly acceptedAt: number | null;
  /** The first answer to this token; null: none. */
  readonly answeredAt: number | null;
  readonly said: 'success' | 'refusal' | null;
  /** When the same answer came once more. */
  readonly againAt: number | null;
}

export interface Verdicts {
  readonly right: number;
  /** Told the units of another token. */
  readonly crossed: number;
  /** Told of a success, and the meter had booked nothing. */
  readonly falseSuccess: number;
  /** Told that the meter refused, and it had not. */
  readonly falseRefusal: number;
  /** The meter answered in time, and the caller was told that it did not. */
  readonly lost: number;
  /** The same where nobody can know whose the answer is: it names no token, and an earlier one of the meter was open. */
  readonly withheld: number;
  /** No answer at all. */
  readonly hanging: number;
  /** Refused before anybody was asked: too many waited. */
  readonly busy: number;
}

export type Verdict = keyof Verdicts;

/** So near to the deadline either is right: an answer takes its way, on a busy machine a long one. */
const marginMs = 2_000;
/** Of each wrong verdict. */
const examplesMax = 3;

/**
 * @param fact undefined: nobody ever asked the vendor
 * @param isDoubtful an earlier token of the meter was open when this one was handed over
 */
export function verdictOf(heard: Heard, fact: Fact | undefined, isDoubtful = false): Verdict {
  const { status } = heard;
  if (status === null) return 'hanging';
  if (status === 200) return verdictOfSuccess(heard, fact);
  if (fact === undefined) return status === 503 ? 'busy' : 'lost';
  if (fact.vendor === 'turned down') return 'right';
  // Another call for the same token was faster.
  if (status === 409 && isBookedBy(fact, heard.answeredAt)) return 'right';
  if (status === 422) {
    const isRefused = fact.said === 'refusal' && answerAfterMs(fact) < answerTimeoutMs + marginMs;
    return isRefused ? 'right' : 'falseRefusal';
  }
  if (!isInTime(fact)) return 'right';
  return isDoubtful && isNameless(fact.meter) ? 'withheld' : 'lost';
}

function isBookedBy({ said, answeredAt }: Fact, at: number): boolean {
  return said === 'success' && (answeredAt ?? Infinity) <= at;
}

/** Well before a contestant may have given up. */
export function isInTime(fact: Fact): boolean {
  return answerAfterMs(fact) < answerTimeoutMs - marginMs;
}

function answerAfterMs({ calledAt, acceptedAt, answeredAt }: Fact): number {
  return answeredAt === null ? Infinity : answeredAt - (acceptedAt ?? calledAt);
}

function verdictOfSuccess({ token, units, answeredAt }: Heard, fact: Fact | undefined): Verdict {
  if (fact === undefined || !isBookedBy(fact, answeredAt)) return 'falseSuccess';
  return units === unitsOf(token) ? 'right' : 'crossed';
}

export function judge(
  heard: readonly Heard[],
  facts: ReadonlyMap<number, Fact>,
): {
  readonly verdicts: Verdicts;
  readonly examples: readonly string[];
  readonly doubtful: readonly number[];
} {
  const verdicts: Record<Verdict, number> = {
    right: 0,
    crossed: 0,
    falseSuccess: 0,
    falseRefusal: 0,
    lost: 0,
    withheld: 0,
    hanging: 0,
    busy: 0,
  };
  const examples: string[] = [];
  const doubtful = doubtfulOf([...facts.values()], heard);
  for (const one of heard) {
    const fact = facts.get(one.token);
    const verdict = verdictOf(one, fact, fact !== undefined && doubtful.has(fact));
    verdicts[verdict] += 1;
    if (verdict !== 'right' && verdicts[verdict] <= examplesMax)
      examples.push(`${verdict}: ${JSON.stringify({ heard: one, fact: fact ?? null })}`);
  }
  return { verdicts, examples, doubtful: [...doubtful].map(({ token }) => token) };
}

/**
 * Those that came to their meter when an earlier token of it had no answer, or none that could be known, or whose answer
 * came once more.
 */
export function doubtfulOf(facts: readonly Fact[], heard: readonly Heard[]): Set<Fact> {
  const unanswered = new Set(heard.filter(({ status }) => status === 504).map(({ token }) => token));
  const byMeter = new Map<number, Fact[]>();
  for (const fact of facts) byMeter.set(fact.meter, (byMeter.get(fact.meter) ?? []).concat(fact));
  return new Set(facts.filter((fact) => hasOpen(byMeter.get(fact.meter) ?? [], fact, unanswered)));
}

function hasOpen(ofMeter: readonly Fact[], { calledAt }: Fact, unanswered: ReadonlySet<number>): boolean {
  return ofMeter.some(
    ({ token, vendor, calledAt: before, answeredAt, againAt }) =>
      vendor === 'accepted' &&
      before < calledAt &&
      ((answeredAt ?? Infinity) > calledAt || (againAt ?? 0) > calledAt || unanswered.has(token)),
  );
}

/** What was not true, or was not said at all; who is told at once to come back knows where he stands. */
export function wrongOf({ right: _right, withheld: _withheld, busy: _busy, ...wrong }: Verdicts): number {
  return Object.values(wrong).reduce((sum, count) => sum + count, 0);
}

/** Milliseconds that an injection took beyond the meter's own time; undefined without the meter's word. */
export function overheadOf(heard: Heard, fact: Fact | undefined): number | undefined {
  if (fact?.answeredAt === undefined || fact.answeredAt === null || heard.status !== 200) return undefined;
  return heard.answeredAt - heard.dueAt - (fact.answeredAt - fact.calledAt);
}

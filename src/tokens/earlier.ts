import { readAnswer, type AnswerMapping } from './answer.js';
import type { HeardAnswer, OpenToken } from './attribution.js';
import type { MeterInjection } from './meter-store.js';

/** What else may be meant by an answer of a meter that names no token. */
export interface EarlierTokens {
  /** Other tokens that may still be answered, in the order of sending. */
  readonly others: readonly OpenToken[];
  /** How often this token was sent before without an answer. */
  readonly deliveries: number;
  /** Answers to one of all these that could not be told apart, in the order of coming. */
  readonly kept: readonly HeardAnswer[];
  /** Injections of theirs that have room for such an answer. */
  readonly vacant: readonly string[];
  /** Answers that came before, as text: the same once more is no news. */
  readonly known: ReadonlySet<string>;
  /** After so many ms nobody waits for answers to the others any more. */
  readonly reckonedForMs: number;
}

export const noEarlierTokens: EarlierTokens = {
  others: [],
  deliveries: 0,
  kept: [],
  vacant: [],
  known: new Set(),
  reckonedForMs: 0,
};

/** How long an answer that nobody waits for is reckoned with, of a meter that is there. */
const reckonedLateMs = 3_600_000;
/** How long after an answer its repetition is. */
const repeatMs = 60_000;

export interface Reckoning {
  /** The one that waits, as in the injections. */
  readonly token: string;
  readonly mapping: AnswerMapping | undefined;
  /** Unix ms. */
  readonly now: number;
  /** How long an answer is reckoned with, of a meter that is there. */
  readonly reckonedMs: number;
}

/** `injections` of a meter, the last first. */
export function earlierTokens(
  injections: readonly MeterInjection[],
  { token, mapping, now, reckonedMs }: Reckoning,
): EarlierTokens {
  const open = reckonedWith(injections, reckonedMs);
  const isKnown = ({ open: isOpen, answered_at: at }: MeterInjection): boolean =>
    isOpen || (at !== null && now - at < repeatMs);
  return {
    others: tokensOf(open, injections).filter((one) => one.token !== token),
    deliveries: open.filter((one) => one.token === token).length,
    kept: keptBy(open, injections, mapping),
    vacant: open.filter(({ answer }) => answer === null).map(({ id }) => id),
    known: new Set(injections.filter(isKnown).flatMap(({ answer }) => answer ?? [])),
    reckonedForMs: reckonedMs - Math.min(reckonedMs, ...open.map(({ silent_ms: silentMs }) => silentMs ?? 0)),
  };
}

/** One for each token, as of the injection that sent it last. */
export function tokensOf(
  open: readonly MeterInjection[],
  injections: readonly MeterInjection[],
): OpenToken[] {
  const tokens = new Map<string, OpenToken>();
  for (const { id, token, caller } of open) {
    const deliveries = (tokens.get(token)?.deliveries ?? 0) + 1;
    const isConfirmed = injections.some((one) => one.token === token && one.status === 'success');
    tokens.set(token, { id, token, caller, deliveries, isConfirmed });
  }
  return [...tokens.values()];
}

/** In the order of coming, without what is another's answer once more. */
export function keptBy(
  open: readonly MeterInjection[],
  injections: readonly MeterInjection[],
  mapping: AnswerMapping | undefined,
): HeardAnswer[] {
  return open
    .flatMap(({ id, answer, answered_at: at }) => {
      if (answer === null || at === null) return [];
      if (injections.some((one) => one.id !== id && one.answer === answer)) return [];
      const said = readAnswer(answer, mapping);
      return said.outcome === 'unreadable' ? [] : [{ answer: said, at }];
    })
    .toSorted((one, other) => one.at - other.at);
}

/**
 * Those that the meter may still answer, in the order of sending: sent within the time, or the meter has come back
 * within it; or so long before such a one, for what could not be told apart then cannot be told apart now.
 */
export function reckonedWith(
  injections: readonly MeterInjection[],
  reckonedMs = reckonedLateMs,
): MeterInjection[] {
  const open = injections
    .filter((one) => one.open && mayHaveIt(one.vendor_status))
    .toSorted((one, other) => (one.silent_ms ?? 0) - (other.silent_ms ?? 0));
  const reckoned = new Set<MeterInjection>();
  let last = 0;
  for (const one of open) {
    const silentMs = one.silent_ms ?? 0;
    if (silentMs - last >= reckonedMs) break;
    reckoned.add(one);
    last = silentMs;
  }
  return injections.filter((one) => reckoned.has(one)).toReversed();
}

/** A system that said no has not forwarded it; of one that broke down nobody knows. 502 and 503 are its gateway's. */
export function mayHaveIt(vendorStatus: number | null): boolean {
  if (vendorStatus === null || vendorStatus < 300 || vendorStatus === 408) return true;
  return vendorStatus >= 500 && vendorStatus !== 502 && vendorStatus !== 503;
}

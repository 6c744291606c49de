import type { AnswerMapping } from './answer.js';
import { attribute, type HeardAnswer } from './attribution.js';
import { keptBy, reckonedWith, tokensOf } from './earlier.js';
import type { MeterInjection } from './meter-store.js';

/**
 * owned: each of these injections by its answer. ambiguous: it may belong to more than one token; those have room for it.
 * repeated: to one that has it already. awaited: to one that waits elsewhere, and hears it there. none: to none of ours.
 */
export type LateOwner =
  | { readonly outcome: 'owned'; readonly pairs: readonly (readonly [MeterInjection, HeardAnswer])[] }
  | { readonly outcome: 'ambiguous'; readonly vacant: readonly string[] }
  | { readonly outcome: 'repeated' | 'awaited' | 'none' };

export interface LateAnswerNames {
  /** Hash of the token that the answer names, in hex; null: it names none. */
  readonly token: string | null;
  /** Of an injection that waits, when the answer is not its own. */
  readonly waiting: string | null;
  readonly mapping?: AnswerMapping | undefined;
}

/**
 * Whose answer it is that comes when nobody waits for it. One that names its token or its message belongs there. Of the
 * others the meter is all that is known: they belong to the one token of the meter that is open. With two open, each
 * may be meant, and a success told of the wrong one would be a lie; so it is told of none, until as many have come as
 * there are tokens.
 * @param injections of the meter, the last first
 */
export function ownerOf(
  injections: readonly MeterInjection[],
  heard: HeardAnswer,
  { token, waiting, mapping }: LateAnswerNames,
): LateOwner {
  const { answer, at } = heard;
  const { message_id: messageId } = answer;
  const first = (open: readonly MeterInjection[]): LateOwner =>
    open[0] === undefined ? { outcome: 'repeated' } : { outcome: 'owned', pairs: [[open[0], heard]] };
  if (token !== null) return first(injections.filter((one) => one.open && one.token === token));
  if (messageId !== null) {
    const named = injections.filter((one) => one.message_id === messageId || one.id === messageId);
    if (named.length > 0) return first(named.filter(({ open }) => open));
  }
  const text = JSON.stringify(answer.data);
  if (injections.some((one) => one.answer === text)) return { outcome: 'repeated' };
  const isAwaited = (one: MeterInjection): boolean =>
    one.status === 'waiting' && one.id !== waiting && one.sent_at !== null && one.sent_at <= at;
  if (injections.some(isAwaited)) return { outcome: 'awaited' };

  const latest = injections.find(({ id }) => id !== waiting);
  const candidates = candidatesOf(
    injections.filter((one) => one.open && (messageId === null || one.message_id === null)),
    latest,
  );
  const kept = keptBy(candidates, injections, mapping);
  const tokens = tokensOf(candidates, injections);
  const [only] = tokens;
  if (only === undefined) return { outcome: 'none' };
  // A refusal behind a later answer, or behind a yes, may be the second answer to that one.
  if (tokens.length === 1 && answer.outcome !== 'success' && (only.id !== latest?.id || kept.length > 0))
    return { outcome: 'none' };
  const pairs = attribute(tokens, tokens.length === 1 ? [heard] : [...kept, heard]).flatMap(([one, said]) =>
    injections.filter(({ id }) => id === one.id).map((injection) => [injection, said] as const),
  );
  if (pairs.length > 0) return { outcome: 'owned', pairs };
  const vacant = candidates.filter((one) => one.answer === null).map(({ id }) => id);
  return tokens.length === 1 ? { outcome: 'none' } : { outcome: 'ambiguous', vacant };
}

/** In the order of sending: those that may still be answered; else what the system refused lately; else the last. */
function candidatesOf(
  open: readonly MeterInjection[],
  latest: MeterInjection | undefined,
): readonly MeterInjection[] {
  const reckoned = reckonedWith(open);
  if (reckoned.length > 0) return reckoned;
  const refused = reckonedWith(open.map((one) => ({ ...one, vendor_status: null }))).map(({ id }) => id);
  return refused.length > 0
    ? open.filter(({ id }) => refused.includes(id)).toReversed()
    : open.filter((one) => one === latest);
}

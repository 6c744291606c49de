import type { MeterAnswer } from './answer.js';
import type { MeterInjection } from './history-store.js';

/** ambiguous: it may belong to more than one token. repeated: to one that has it already. none: to none of ours. */
export type LateOwner =
  | { readonly outcome: 'owned'; readonly injection: MeterInjection }
  | { readonly outcome: 'ambiguous' | 'repeated' | 'none' };

export interface LateAnswerNames {
  /** Hash of the token that the answer names, in hex; null: it names none. */
  readonly token: string | null;
  /** Of an injection that waits, when the answer is not its own. */
  readonly waiting: string | null;
}

/**
 * Whose answer it is that comes when nobody waits for it. One that names its token or its message belongs there. Of the
 * others the meter is all that is known: they belong to the one token of the meter that is open. With two open, each
 * may be meant, and a success told of the wrong one would be a lie; so it is told of none.
 * @param injections of the meter, the last first
 */
export function ownerOf(
  injections: readonly MeterInjection[],
  answer: MeterAnswer,
  { token, waiting }: LateAnswerNames,
): LateOwner {
  const { message_id: messageId } = answer;
  if (token !== null) return first(injections.filter((one) => one.open && one.token === token));
  if (messageId !== null) {
    const named = injections.filter((one) => one.message_id === messageId || one.id === messageId);
    if (named.length > 0) return first(named.filter(({ open }) => open));
  }
  const text = JSON.stringify(answer.data);
  if (injections.some((one) => one.answer === text)) return { outcome: 'repeated' };
  const latest = injections.find(({ id }) => id !== waiting);
  const nameless = injections.filter((one) => one.open && (messageId === null || one.message_id === null));
  const recent = nameless.filter((one) => one.recent);
  // A vendor that said no may have forwarded it all the same; one that said yes more likely has.
  const taken = recent.filter((one) => one.vendor_status === null || one.vendor_status < 300);
  const candidates =
    [taken, recent, nameless.filter((one) => one === latest)].find((some) => some.length > 0) ?? [];
  if (new Set(candidates.map((one) => one.token)).size > 1) return { outcome: 'ambiguous' };
  const owner = candidates[0];
  if (owner === undefined) return { outcome: 'none' };
  // A refusal behind a later answer may be the second answer to that one.
  return answer.outcome === 'success' || owner === latest
    ? { outcome: 'owned', injection: owner }
    : { outcome: 'none' };
}

function first(open: readonly MeterInjection[]): LateOwner {
  const [injection] = open;
  return injection === undefined ? { outcome: 'repeated' } : { outcome: 'owned', injection };
}

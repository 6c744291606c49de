import type { MeterAnswer } from './answer.js';
import type { HeardAnswer } from './attribution.js';
import type { Ending } from './ending-store.js';

type Ended = Pick<Ending, 'id' | 'meterId' | 'caller'>;

/** How the meter's answer ends an injection. */
export function endingOf(
  { id, meterId, caller }: Ended,
  answer: MeterAnswer,
  at: number,
  { isRepeated }: { readonly isRepeated: boolean },
): Omit<Ending, 'vendorStatus' | 'vendorAttempts'> {
  const isSuccess = answer.outcome === 'success';
  return {
    id,
    meterId,
    caller,
    status: isSuccess ? 'success' : 'failed',
    code: isSuccess ? null : 'TOKEN_REFUSED',
    refusal: answer.outcome === 'success' ? null : answer.outcome,
    reason: reasonOf(answer, isRepeated),
    units: answer.units,
    answer: JSON.stringify(answer.data),
    answeredAt: at,
    wasSent: true,
    late: false,
  };
}

/** An injection that ends without an answer of the meter that is known to be its own; `kept` may be. */
export function endingWithout(
  { id, meterId, caller }: Ended,
  more: Pick<Ending, 'status' | 'code' | 'reason' | 'wasSent'>,
  kept: HeardAnswer | null,
): Omit<Ending, 'vendorStatus' | 'vendorAttempts'> {
  return {
    id,
    meterId,
    caller,
    refusal: null,
    units: null,
    answer: kept === null ? null : JSON.stringify(kept.answer.data),
    answeredAt: kept?.at ?? null,
    late: false,
    ...more,
  };
}

const sentences = {
  used: 'The meter has used this token before.',
  expired: 'The token is too old for the meter.',
  wrong_meter: 'The token is for another meter.',
  failed: 'The meter refused the token.',
} as const;

/**
 * The meter's own message, where it has one; null of a success. A token that was sent before without an answer and is
 * `used` now was booked then, as likely as not.
 */
export function reasonOf(answer: MeterAnswer, isRepeated: boolean): string | null {
  if (answer.outcome === 'success') return null;
  const sentence = sentences[answer.outcome];
  const own = answer.message === null ? sentence : `${sentence} It says: ${answer.message}`;
  if (answer.outcome !== 'used' || !isRepeated) return own;
  return `${own} An earlier attempt went unanswered and may have been booked: look at the meter’s balance.`;
}

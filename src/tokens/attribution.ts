import type { MeterAnswer } from './answer.js';

/** A token that was sent to the meter, and may still be answered. */
export interface OpenToken {
  /** Of the injection that sent it last. */
  readonly id: string;
  /** Says which two are the same. */
  readonly token: string;
  readonly caller: string;
  /** How often it was sent without an answer: each time may bring one. */
  readonly deliveries: number;
  /** The meter said yes to it before: what still comes is a no. */
  readonly isConfirmed: boolean;
}

export interface HeardAnswer {
  readonly answer: MeterAnswer;
  /** Unix ms. */
  readonly at: number;
}

/**
 * Whose answers are whose, of those that name no token, when several tokens may be meant. Nothing is known of the order
 * in which a system hands tokens over; but a meter says yes to a token once at most. So when as many different yeses have
 * come as there are tokens that it can have said yes to, it has said yes to all of them; the same for noes, of which
 * each delivery may bring one. What a single one of them is worth follows the order, the sum is right in any.
 * @param tokens in the order of sending
 * @param answers different ones, in the order of coming
 * @returns nothing as long as it cannot be known
 */
export function attribute(
  tokens: readonly OpenToken[],
  answers: readonly HeardAnswer[],
): readonly (readonly [OpenToken, HeardAnswer])[] {
  const yeses = answers.filter(({ answer }) => answer.outcome === 'success');
  if (yeses.length > 0)
    return pairs(
      tokens.filter(({ isConfirmed }) => !isConfirmed),
      yeses,
    );
  const owed = tokens.length === 1 ? 1 : tokens.reduce((sum, { deliveries }) => sum + deliveries, 0);
  return answers.length === owed ? pairs(tokens, answers.slice(-tokens.length)) : [];
}

function pairs(
  tokens: readonly OpenToken[],
  answers: readonly HeardAnswer[],
): readonly (readonly [OpenToken, HeardAnswer])[] {
  if (tokens.length !== answers.length) return [];
  return tokens.flatMap((token, index) => {
    const answer = answers[index];
    return answer === undefined ? [] : [[token, answer] as const];
  });
}

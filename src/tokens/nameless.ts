import { attribute, type HeardAnswer, type OpenToken } from './attribution.js';
import type { EarlierTokens } from './earlier.js';
import type { RecentAnswers } from './recent-answers.js';

export interface NamelessSettings {
  readonly meterId: string;
  /** Of the injection that waits. */
  readonly id: string;
  readonly recent: RecentAnswers;
  readonly earlier: EarlierTokens;
  readonly onKnown: (heard: HeardAnswer) => void;
  /** An answer that is known to be to another token. */
  readonly onEarlier: (token: OpenToken, heard: HeardAnswer) => void;
  readonly onIgnored: (reason: 'repeated') => void;
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: () => number;
}

/**
 * An answer that may be this token's own. repeat: or one that was taken before, once more; second: or what a meter says
 * that gets a token twice, after its yes.
 */
export type DoubtfulAnswer = HeardAnswer & { readonly kind: 'fresh' | 'repeat' | 'second' };

/** Answers without a token or a message: the meter, and what is known of its other tokens, are all there is to go by. */
export interface NamelessAnswers {
  weigh(heard: HeardAnswer, via: 'topic' | 'delivery'): void;
  /** In the order of coming. */
  readonly doubtful: readonly DoubtfulAnswer[];
  /** A refusal that was held for a second at least: told when the time is over and nothing else has come. */
  readonly held: HeardAnswer | undefined;
  /** Another token has its answer. */
  forget(id: string): void;
  close(): void;
}

/**
 * How long an answer is held, with no other token open, that may be one of before once more, or a second one to a token
 * of before: if it is, its own comes behind it. So it depends on how long the meter took the last time; meters whose
 * answers have no time say the same to two tokens of the same units, and are right, too.
 */
const patience = { leastMs: 1_000, factor: 2 };

/** Tells what is an answer to the token that waits: with others open never without being known to be its own ([T-2]). */
export function createNamelessAnswers(settings: NamelessSettings): NamelessAnswers {
  const { meterId, id, recent, earlier, onKnown, onEarlier, onIgnored } = settings;
  const { now = () => performance.now() } = settings;
  const own: OpenToken = {
    id,
    token: '',
    caller: '',
    deliveries: earlier.deliveries + 1,
    isConfirmed: false,
  };
  let tokens = [...earlier.others, own];
  let { kept } = earlier;
  const heardTexts = new Set<string>();
  const doubtful: DoubtfulAnswer[] = [];
  let timer: NodeJS.Timeout | undefined;
  let heldFrom = Infinity;
  const lapse =
    earlier.others.length === 0 ? undefined : setTimeout(forgetOthers, Math.max(0, earlier.reckonedForMs));

  /** Their time is over: what is held is its own now, if it is one. */
  function forgetOthers(): void {
    tokens = [own];
    kept = [];
    settle();
    if (doubtful.length > 0) hold();
  }

  /** Its own, if not another's: with as many answers as tokens each has its own. */
  function settle(): void {
    const fresh = doubtful.filter(({ kind }) => kind === 'fresh');
    for (const [token, heard] of attribute(tokens, [...kept, ...fresh])) {
      if (token === own) onKnown(heard);
      else onEarlier(token, heard);
    }
  }

  function hold(): void {
    if (tokens.length > 1) return;
    const ms = Math.max(patience.leastMs, patience.factor * (recent.lastTookMs(meterId) ?? 0));
    if (timer !== undefined) return;
    heldFrom = now();
    timer = setTimeout(() => {
      const only = lone();
      if (only !== undefined) onKnown(only);
    }, ms);
  }

  /** The one answer, with no other token open that it may be to. */
  function lone(): DoubtfulAnswer | undefined {
    const [only, ...others] = tokens.length === 1 ? doubtful : [];
    return others.length > 0 ? undefined : only;
  }

  return {
    doubtful,
    get held() {
      // Told sooner, its own might come behind it, and be taken for the answer to the next token.
      if (now() - heldFrom < patience.leastMs) return undefined;
      const only = lone();
      return only?.answer.outcome === 'success' ? undefined : only;
    },
    weigh(heard, via) {
      const text = JSON.stringify(heard.answer.data);
      const isAgain = recent.has(meterId, heard.answer) || earlier.known.has(text);
      if (heardTexts.has(text) || (via === 'delivery' && isAgain)) return onIgnored('repeated');
      heardTexts.add(text);
      const isSecond = heard.answer.outcome === 'used' && recent.hasSuccess(meterId);
      recent.note(meterId, heard.answer);
      doubtful.push({ ...heard, kind: isAgain ? 'repeat' : isSecond ? 'second' : 'fresh' });
      // Behind what may be another's yes, a no may be the second answer to its own.
      const isAfterYes = doubtful.some(
        ({ kind, answer }) => kind !== 'fresh' && answer.outcome === 'success',
      );
      if (heard.answer.outcome === 'success' || !isAfterYes) settle();
      hold();
    },
    forget(answered) {
      const left = tokens.filter((one) => one === own || one.id !== answered);
      if (left.length === tokens.length) return;
      tokens = left;
      // One of them may be what that token has now.
      kept = [];
      settle();
      if (doubtful.length > 0) hold();
    },
    close() {
      clearTimeout(timer);
      clearTimeout(lapse);
    },
  };
}

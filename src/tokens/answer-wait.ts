import { deferred } from '../batches/deferred.js';
import { readAnswer, type AnswerMapping, type MeterAnswer } from './answer.js';
import type { HeardAnswer, OpenToken } from './attribution.js';
import { noEarlierTokens, type EarlierTokens } from './earlier.js';
import { createNamelessAnswers, type NamelessAnswers } from './nameless.js';
import type { RecentAnswers } from './recent-answers.js';

export interface AwaitedInjection {
  readonly id: string;
  readonly meterId: string;
  /** Every name of the meter: an answer that names another one is not its own. */
  readonly names: ReadonlySet<string>;
  readonly token: string;
}

export interface AnswerWaitSettings {
  readonly mapping: AnswerMapping | undefined;
  readonly recent: RecentAnswers;
  /** An answer that belongs to another token of the meter. */
  readonly onStray: (heard: HeardAnswer) => void;
  /** An answer that, as is known by now, belongs to this other token. */
  readonly onEarlier: (token: OpenToken, heard: HeardAnswer) => void;
  readonly onIgnored: (reason: 'unreadable' | 'other_meter' | 'repeated' | 'early') => void;
}

/** Answers with an id that come before the vendor's own. */
const earlyMax = 16;

/** Waits for the answer to one token. */
export interface AnswerWait {
  readonly answered: Promise<HeardAnswer>;
  /** The last answer that could not be read, as half a sentence. */
  readonly problem: string | null;
  /** From now on the token is on its way: an answer before is one to an earlier token. */
  open(earlier: EarlierTokens): void;
  /** What its answers may be to besides. */
  readonly earlier: EarlierTokens;
  /** The vendor's answer is there: null when it gave no id. Answers that carry one wait for this. */
  named(messageId: string | null): void;
  /**
   * `topic`: by the subscription; `delivery`: from the broker's deliveries, as a second copy or after a reconnect; `at`
   * in Unix ms.
   * @returns false when the wait is over, and somebody else may want it
   */
  hear(payload: string | Buffer, via: 'topic' | 'delivery', at?: number): boolean;
  /** A refusal that is still held when the time is over, and was for a second at least. */
  held(): HeardAnswer | undefined;
  /** Those that may be its own, or another's: what can be told of them is told by then. */
  readonly doubtful: NamelessAnswers['doubtful'];
  /** Another token has its answer. */
  forget(id: string): void;
  close(): void;
}

export function createAnswerWait(awaited: AwaitedInjection, settings: AnswerWaitSettings): AnswerWait {
  const { id, meterId, names, token } = awaited;
  const { recent, onStray, onIgnored } = settings;
  const answered = deferred<HeardAnswer>();
  let openedAt: number | undefined;
  let isOver = false;
  /** Undefined: the vendor has not answered yet. */
  let messageId: string | null | undefined;
  const early: { payload: string | Buffer; via: 'topic' | 'delivery'; at: number }[] = [];
  let problem: string | null = null;
  let earlier = noEarlierTokens;
  let nameless = namelessOf(earlier);

  function namelessOf(others: EarlierTokens): NamelessAnswers {
    return createNamelessAnswers({ ...settings, meterId, id, earlier: others, onKnown: take });
  }

  function take(heard: HeardAnswer): void {
    isOver = true;
    nameless.close();
    recent.note(meterId, heard.answer);
    if (openedAt !== undefined) recent.took(meterId, heard.at - openedAt);
    answered.resolve(heard);
  }

  function belongs(answer: MeterAnswer): 'here' | 'to another' | 'unknown yet' | 'by its meter' {
    if (answer.token !== null) return answer.token === token ? 'here' : 'to another';
    if (answer.message_id === null) return 'by its meter';
    if (answer.message_id === id) return 'here';
    if (messageId === undefined) return 'unknown yet';
    if (messageId === null) return 'by its meter';
    return answer.message_id === messageId ? 'here' : 'to another';
  }

  function listen(payload: string | Buffer, via: 'topic' | 'delivery', at: number): void {
    const answer = readAnswer(payload, settings.mapping);
    if (answer.outcome === 'unreadable') {
      problem = `an answer of the meter ${answer.reason}`;
      return onIgnored('unreadable');
    }
    if (answer.meter_number !== null && !isNamed(names, answer.meter_number)) {
      problem = 'an answer on the meter’s topic names another meter';
      return onIgnored('other_meter');
    }
    switch (openedAt === undefined ? 'to another' : belongs(answer)) {
      case 'to another':
        // Of one that names nothing, the broker's copy says no more.
        if (via === 'delivery' && answer.token === null && answer.message_id === null) break;
        recent.note(meterId, answer);
        onStray({ answer, at });
        break;
      case 'here':
        take({ answer, at });
        break;
      case 'unknown yet':
        if (early.length < earlyMax) early.push({ payload, via, at });
        break;
      case 'by its meter':
        if (at < (openedAt ?? 0)) onIgnored('early');
        else nameless.weigh({ answer, at }, via);
    }
  }

  return {
    answered: answered.promise,
    get problem() {
      return problem;
    },
    open(others) {
      earlier = others;
      nameless = namelessOf(others);
      openedAt = Date.now();
    },
    named(said) {
      messageId = said;
      for (const { payload, via, at } of early.splice(0)) if (!isOver) listen(payload, via, at);
    },
    hear(payload, via, at = Date.now()) {
      if (isOver) return false;
      listen(payload, via, at);
      return true;
    },
    get earlier() {
      return earlier;
    },
    get doubtful() {
      return nameless.doubtful;
    },
    forget(other) {
      if (!isOver) nameless.forget(other);
    },
    held: () => nameless.held,
    close() {
      isOver = true;
      nameless.close();
    },
  };
}

/** Some meters send their number as a number, without the zeros in front. */
export function isNamed(names: ReadonlySet<string>, said: string): boolean {
  if (names.has(said)) return true;
  const bare = withoutZeros(said);
  return /^\d+$/.test(said) && [...names].some((name) => withoutZeros(name) === bare);
}

function withoutZeros(name: string): string {
  return name.replace(/^0+/, '');
}

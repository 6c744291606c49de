import { createHash } from 'node:crypto';
import { deferred } from '../batches/deferred.js';
import { readAnswer, type AnswerMapping, type MeterAnswer } from './answer.js';

/** An answer that this injection takes for its own. */
export interface HeardAnswer {
  readonly answer: MeterAnswer;
  /** Unix ms. */
  readonly at: number;
}

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
  /** An answer that belongs to an earlier token of the meter. */
  readonly onStray: (answer: MeterAnswer, at: number) => void;
  readonly onIgnored: (reason: 'unreadable' | 'other_meter' | 'repeated') => void;
}

/**
 * How long an answer that names no token is held when it may belong to an earlier one: if that is so, the right one
 * comes after it, as meters answer in order.
 */
const settleMs = 1_000;
/** The same bytes again so soon after may be the same answer once more. */
const repeatMs = 5_000;
/** The broker's copy of an answer comes after its commit, and a database may be slow. */
const copyMs = 60_000;
/** Answers with an id that come before the vendor's own. */
const earlyMax = 16;

/** Waits for the answer to one token. */
export interface AnswerWait {
  readonly answered: Promise<HeardAnswer>;
  /** The last answer that could not be read, as half a sentence. */
  readonly problem: string | null;
  /** From now on the token is on its way: an answer before is one to an earlier token. */
  open(isOutstanding: boolean): void;
  /** The vendor's answer is there: null when it gave no id. Answers that carry one wait for this. */
  named(messageId: string | null): void;
  /**
   * `topic`: by the subscription; `delivery`: from the broker's deliveries, as a second copy or after a reconnect.
   * @returns false when the wait is over, and somebody else may want it
   */
  hear(payload: string | Buffer, via: 'topic' | 'delivery'): boolean;
  /** An answer that is still held when the time is over. */
  held(): HeardAnswer | undefined;
  close(): void;
}

export function createAnswerWait(awaited: AwaitedInjection, settings: AnswerWaitSettings): AnswerWait {
  const { id, meterId, names, token } = awaited;
  const { recent, onStray, onIgnored } = settings;
  const answered = deferred<HeardAnswer>();
  let isOpen = false;
  let isOver = false;
  let isOutstanding = false;
  /** Undefined: the vendor has not answered yet. */
  let messageId: string | null | undefined;
  const early: { payload: string | Buffer; via: 'topic' | 'delivery' }[] = [];
  let problem: string | null = null;
  let kept: (HeardAnswer & { digest: string; via: 'topic' | 'delivery'; isRepeat: boolean }) | undefined;
  let timer: NodeJS.Timeout | undefined;

  function take(heard: HeardAnswer, digest: string): void {
    isOver = true;
    clearTimeout(timer);
    recent.note(meterId, digest);
    answered.resolve({ answer: heard.answer, at: heard.at });
  }

  function belongs(answer: MeterAnswer): 'here' | 'to another' | 'unknown yet' | 'by its meter' {
    if (answer.token !== null) return answer.token === token ? 'here' : 'to another';
    if (answer.message_id === null) return 'by its meter';
    if (answer.message_id === id) return 'here';
    if (messageId === undefined) return 'unknown yet';
    if (messageId === null) return 'by its meter';
    return answer.message_id === messageId ? 'here' : 'to another';
  }

  function stray(answer: MeterAnswer, at: number, digest: string): void {
    recent.note(meterId, digest);
    onStray(answer, at);
  }

  /** One without a token, which may belong to an earlier one, or be an earlier answer once more. */
  function weigh(heard: HeardAnswer, digest: string, via: 'topic' | 'delivery'): void {
    // A meter that gets a token twice answers twice: the second time that it is used.
    const isRepeat =
      recent.has(meterId, digest, via === 'topic' ? repeatMs : copyMs) ||
      (heard.answer.outcome === 'used' && recent.hasAny(meterId, copyMs));
    if (via === 'delivery' && (isRepeat || kept?.digest === digest)) return onIgnored('repeated');
    if (kept !== undefined && (kept.via === 'topic' || via === 'topic')) {
      // The second of two: the first was to the token before, or its answer once more.
      if (kept.digest !== digest && isOutstanding && !kept.isRepeat) stray(kept.answer, kept.at, kept.digest);
      return take(heard, digest);
    }
    if (via === 'topic' && !isRepeat && !isOutstanding) return take(heard, digest);
    kept = { ...heard, digest, via, isRepeat };
    timer ??= setTimeout(() => {
      if (kept !== undefined) take(kept, kept.digest);
    }, settleMs);
  }

  function listen(payload: string | Buffer, via: 'topic' | 'delivery'): void {
    const at = Date.now();
    const answer = readAnswer(payload, settings.mapping);
    if (answer.outcome === 'unreadable') {
      problem = `an answer of the meter ${answer.reason}`;
      return onIgnored('unreadable');
    }
    if (answer.meter_number !== null && !isNamed(names, answer.meter_number)) {
      problem = 'an answer on the meter’s topic names another meter';
      return onIgnored('other_meter');
    }
    const digest = digestOf(payload);
    switch (isOpen ? belongs(answer) : 'to another') {
      case 'to another':
        // Of one that names nothing, the broker's copy says no more.
        if (via === 'topic' || answer.token !== null || answer.message_id !== null) stray(answer, at, digest);
        break;
      case 'here':
        take({ answer, at }, digest);
        break;
      case 'unknown yet':
        if (early.length < earlyMax) early.push({ payload, via });
        break;
      case 'by its meter':
        weigh({ answer, at }, digest, via);
    }
  }

  return {
    answered: answered.promise,
    get problem() {
      return problem;
    },
    open(outstanding) {
      isOpen = true;
      isOutstanding = outstanding;
    },
    named(said) {
      messageId = said;
      for (const { payload, via } of early.splice(0)) if (!isOver) listen(payload, via);
    },
    hear(payload, via) {
      if (isOver) return false;
      listen(payload, via);
      return true;
    },
    held: () => kept,
    close() {
      isOver = true;
      clearTimeout(timer);
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

/** The answers that were taken, so that a second copy of one is known as such. */
export interface RecentAnswers {
  note(meterId: string, digest: string): void;
  has(meterId: string, digest: string, withinMs: number): boolean;
  /** Whether any was taken of the meter. */
  hasAny(meterId: string, withinMs: number): boolean;
}

const answersMax = 20_000;

export function createRecentAnswers(now: () => number = () => performance.now()): RecentAnswers {
  const taken = new Map<string, number>();
  const isWithin = (key: string, withinMs: number): boolean => {
    const at = taken.get(key);
    return at !== undefined && now() - at < withinMs;
  };
  return {
    note(meterId, digest) {
      for (const key of [meterId, `${meterId} ${digest}`]) {
        // Behind the others, so that the first is the oldest.
        taken.delete(key);
        taken.set(key, now());
        const oldest = taken.size > answersMax ? taken.keys().next() : undefined;
        if (oldest?.done === false) taken.delete(oldest.value);
      }
    },
    has: (meterId, digest, withinMs) => isWithin(`${meterId} ${digest}`, withinMs),
    hasAny: (meterId, withinMs) => isWithin(meterId, withinMs),
  };
}

export function digestOf(payload: string | Buffer): string {
  return createHash('sha256').update(payload).digest('base64');
}

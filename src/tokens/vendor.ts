import { setTimeout as delay } from 'node:timers/promises';
import { createHttpClient, type Posted, type TlsOptions } from './vendor-http.js';

/** What a request to the vendor is made of. */
export interface TokenOrder {
  readonly meter_number: string;
  readonly credit_token: string;
  readonly injection_id: string;
  readonly meter_id: string;
}

export interface VendorSettings {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The JSON body for an order. */
  body(order: TokenOrder): unknown;
  readonly timeoutMs: number;
  /** Attempts in all; again only when the vendor cannot have taken the first. */
  readonly attemptsMax: number;
  readonly backoffMs: number;
  readonly breaker: BreakerSettings;
  readonly tls?: TlsOptions;
}

export interface BreakerSettings {
  /** After so many failures one after another nothing is tried for `openMs`, then one. */
  readonly failuresMax: number;
  readonly openMs: number;
}

/**
 * accepted: a 2xx. refused: another status; it says no. unsent: it cannot have the token. unknown: the connection broke
 * or the time was over, and nobody knows.
 */
export type VendorAnswer = {
  readonly outcome: 'accepted' | 'refused' | 'unsent' | 'unknown';
  readonly status: number | null;
  readonly attempts: number;
  /** A half sentence; '' when accepted. */
  readonly reason: string;
  /** What the vendor calls it, and the meter's answer, too, where it carries an id; null: it said none. */
  readonly messageId: string | null;
  /** When it was known; Unix ms. */
  readonly at: number;
};

/** The external meter-management system that hands tokens to meters. */
export interface Vendor {
  /** Never rejects. An abort ends the pauses between attempts; a request under way is waited for. */
  hand(order: TokenOrder, signal: AbortSignal): Promise<VendorAnswer>;
  /** How long one call may take at most. */
  readonly longestMs: number;
  /** Why nothing is tried at the moment; null when all is well. */
  readonly problem: string | null;
  close(): void;
}

/** Before acceptance: the gateway in front of the vendor has no vendor behind it. */
const retriedStatuses: ReadonlySet<number> = new Set([502, 503]);

export function createVendor(settings: VendorSettings, now: () => number = () => performance.now()): Vendor {
  const { url, method, timeoutMs, attemptsMax, backoffMs } = settings;
  const client = createHttpClient(url, settings.tls);
  const breaker = createBreaker(settings.breaker, now);

  async function attempt(order: TokenOrder): Promise<Posted> {
    const headers = { 'content-type': 'application/json', accept: 'application/json', ...settings.headers };
    let body: string;
    try {
      body = JSON.stringify(settings.body(order));
    } catch {
      // What went wrong may show the token.
      return { outcome: 'unreached', reason: 'was not asked: the template of its body cannot be filled in' };
    }
    return client.post({ method, headers, body, timeoutMs });
  }

  return {
    longestMs: attemptsMax * timeoutMs + backoffMs * (2 ** attemptsMax - 1),
    get problem() {
      return breaker.problem;
    },
    async hand(order, signal) {
      let last: VendorAnswer = {
        outcome: 'unsent',
        status: null,
        attempts: 0,
        reason: 'was not asked',
        messageId: null,
        at: Date.now(),
      };
      for (let attempts = 1; attempts <= attemptsMax; attempts++) {
        const closedUntil = breaker.admits();
        if (closedUntil !== null) {
          const reason = `has failed ${settings.breaker.failuresMax} times in a row and is left alone for ${closedUntil} s`;
          return last.attempts === 0 ? { ...last, reason } : last;
        }
        last = answerOf(await attempt(order), attempts);
        breaker.note(last);
        if (!isRetried(last) || attempts === attemptsMax) break;
        // Half of it by chance, so that a thousand do not come back at once.
        const pauseMs = backoffMs * 2 ** (attempts - 1) * (0.5 + Math.random() / 2);
        const isAborted = await delay(pauseMs, false, { signal }).catch(() => true);
        if (isAborted) break;
      }
      return last;
    },
    close: () => client.close(),
  };
}

function isRetried({ outcome, status }: VendorAnswer): boolean {
  return outcome === 'unsent' || (status !== null && retriedStatuses.has(status));
}

function answerOf(posted: Posted, attempts: number): VendorAnswer {
  const at = Date.now();
  if (posted.outcome !== 'answered') {
    const outcome = posted.outcome === 'unreached' ? 'unsent' : 'unknown';
    return { outcome, status: null, attempts, reason: posted.reason, messageId: null, at };
  }
  const { status } = posted;
  if (status >= 200 && status < 300)
    return { outcome: 'accepted', status, attempts, reason: '', messageId: messageIdOf(posted.body), at };
  return { outcome: 'refused', status, attempts, reason: `answered ${status}`, messageId: null, at };
}

/** Of `{"message_id": …}`; whatever else it says is its own affair. */
function messageIdOf(body: string): string | null {
  try {
    const said: unknown = JSON.parse(body);
    const { message_id: id } = (said ?? {}) as { message_id?: unknown };
    return typeof id === 'string' && /^[\x21-\x7e]{1,64}$/.test(id) ? id : null;
  } catch {
    return null;
  }
}

/** Leaves a vendor alone that is down, so that callers hear at once what they would hear after seconds. */
function createBreaker({ failuresMax, openMs }: BreakerSettings, now: () => number) {
  let failures = 0;
  let openUntil = 0;
  let isTrying = false;
  return {
    get problem(): string | null {
      return failures >= failuresMax ? `the vendor failed ${failures} times in a row` : null;
    },
    /** Null: ask. Otherwise in how many seconds. */
    admits(): number | null {
      if (failures < failuresMax) return null;
      const left = openUntil - now();
      if (left <= 0 && !isTrying) {
        isTrying = true;
        return null;
      }
      return Math.max(1, Math.ceil(left / 1000));
    },
    /** A refusal is an answer: the vendor lives. */
    note({ outcome, status }: VendorAnswer): void {
      isTrying = false;
      const isWell = outcome === 'accepted' || (outcome === 'refused' && (status ?? 0) < 500);
      failures = isWell ? 0 : failures + 1;
      if (!isWell && failures >= failuresMax) openUntil = now() + openMs;
    },
  };
}

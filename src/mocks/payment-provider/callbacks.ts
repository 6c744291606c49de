import { setTimeout as delay } from 'node:timers/promises';

/** One HTTP request of the simulated provider to an address that it was given, and how it ended. */
export interface SentCallback {
  readonly kind: 'stk' | 'c2b-confirmation';
  readonly receipt: string | null;
  readonly result_code: string;
  /** HTTP status; null when nobody answered. */
  readonly status: number | null;
  readonly took_ms: number;
}

export interface CallbackOrder {
  readonly kind: SentCallback['kind'];
  readonly url: string;
  readonly body: object;
  readonly receipt: string | null;
  readonly result_code: string;
  /** In ms from now, one for each copy. */
  readonly arrivals: readonly number[];
}

export interface Callbacks {
  send(order: CallbackOrder): void;
  /** Sends, and waits for the answer; undefined when none came in time. */
  ask(url: string, body: object, timeoutMs: number): Promise<Answer | undefined>;
  /** How many are still to be sent or answered. */
  readonly open: number;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const answerMs = 10_000;

/** Callbacks as the provider sends them: each copy once, without a second try, whatever is answered. */
export function createCallbacks(onSent: (callback: SentCallback) => void): Callbacks {
  const closing = new AbortController();
  const underWay = new Set<Promise<void>>();

  async function deliver(order: CallbackOrder, afterMs: number): Promise<void> {
    await delay(afterMs, undefined, { signal: closing.signal, ref: false });
    const begun = performance.now();
    const answer = await post(order.url, order.body, answerMs, closing.signal);
    const { kind, receipt, result_code } = order;
    const took_ms = Math.round(performance.now() - begun);
    if (!closing.signal.aborted)
      onSent({ kind, receipt, result_code, status: answer?.status ?? null, took_ms });
  }

  return {
    send(order) {
      for (const afterMs of order.arrivals) {
        const work = deliver(order, afterMs)
          .catch(ofClosing)
          .finally(() => underWay.delete(work));
        underWay.add(work);
      }
    },
    ask: (url, body, timeoutMs) => post(url, body, timeoutMs, closing.signal),
    get open() {
      return underWay.size;
    },
    async close() {
      closing.abort();
      await Promise.all(underWay);
    },
  };
}

/** Undefined: no answer. */
async function post(
  url: string,
  body: object,
  timeoutMs: number,
  closing: AbortSignal,
): Promise<Answer | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'error',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.any([closing, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await response.text();
    return { status: response.status, body: asJson(text) };
  } catch {
    return undefined;
  }
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function ofClosing(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error;
}

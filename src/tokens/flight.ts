import type { InjectionAnswer } from './injection-answer.js';

/** One injection and all who wait for it. */
export interface Flight {
  join(gone: AbortSignal | undefined): Promise<InjectionAnswer>;
  /** Resolves when it is over, however. */
  readonly over: Promise<unknown>;
}

export function createFlight(
  fly: (cancelled: AbortSignal, onSent: () => void) => Promise<InjectionAnswer>,
): Flight {
  const cancelling = new AbortController();
  let callers = 0;
  let isSent = false;
  const answer = fly(cancelling.signal, () => (isSent = true));
  const over = Promise.allSettled([answer]);
  return {
    over,
    async join(gone) {
      callers += 1;
      const leave = (): void => {
        callers -= 1;
        // Whoever still waits wants it.
        if (callers === 0 && !isSent) cancelling.abort();
      };
      gone?.addEventListener('abort', leave, { once: true });
      if (gone?.aborted === true) leave();
      try {
        return await answer;
      } finally {
        gone?.removeEventListener('abort', leave);
      }
    },
  };
}

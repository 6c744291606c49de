/** Whoever shares a key waits until the one before has ended. */
export interface Turns {
  /**
   * Does the work when nobody is under way who has one of these keys; in the order of the calls.
   * @throws the signal's reason, when it aborts before the turn has come, or what the work throws
   */
  take<T>(keys: readonly string[], signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

export function createTurns(): Turns {
  const last = new Map<string, Promise<void>>();

  async function forget(keys: readonly string[], done: Promise<void>): Promise<void> {
    await done;
    for (const key of keys) if (last.get(key) === done) last.delete(key);
  }

  return {
    async take(keys, signal, work) {
      const before = keys.flatMap((key) => last.get(key) ?? []);
      const turn = { end: (): void => {} };
      const ended = new Promise<void>((resolve) => (turn.end = resolve));
      // Those who come next wait for this one and, by it, for all before it, also when it gives up waiting.
      const done = before.length === 0 ? ended : Promise.all([ended, ...before]).then(() => undefined);
      for (const key of keys) last.set(key, done);
      void forget(keys, done);
      try {
        if (before.length > 0) await unlessAborted(Promise.all(before), signal);
        return await work();
      } finally {
        turn.end();
      }
    },
  };
}

async function unlessAborted(wait: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const left = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: left.signal });
  });
  try {
    await Promise.race([wait, aborted]);
  } finally {
    left.abort();
  }
}

/** One at a time per meter, in the order of arrival. */
export interface MeterQueues {
  /** Resolves when it is its turn, with what gives the turn on; undefined when the signal aborts before. */
  enter(meterId: string, signal: AbortSignal): Promise<(() => void) | undefined>;
}

export function createMeterQueues(): MeterQueues {
  /** Those in line behind the one whose turn it is. */
  const lines = new Map<string, (() => void)[]>();

  function leave(meterId: string): void {
    const next = lines.get(meterId)?.shift();
    if (next === undefined) lines.delete(meterId);
    else next();
  }

  return {
    enter(meterId, signal) {
      const line = lines.get(meterId);
      if (signal.aborted) return Promise.resolve(undefined);
      if (line === undefined) {
        lines.set(meterId, []);
        return Promise.resolve(() => leave(meterId));
      }
      return new Promise((resolve) => {
        const turn = (): void => {
          signal.removeEventListener('abort', giveUp);
          resolve(() => leave(meterId));
        };
        const giveUp = (): void => {
          line.splice(line.indexOf(turn), 1);
          resolve(undefined);
        };
        signal.addEventListener('abort', giveUp, { once: true });
        line.push(turn);
      });
    },
  };
}

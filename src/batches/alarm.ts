import { EventEmitter, once } from 'node:events';

/** Wakes one sleeper, or the next one at once when nobody sleeps. */
export interface Alarm {
  readonly ring: () => void;
  /** Until it rings, the time is over (Infinity: never), or the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createAlarm(): Alarm {
  const bell = new EventEmitter();
  let rung = false;
  return {
    ring: () => {
      rung = true;
      bell.emit('ring');
    },
    async wait(ms, signal) {
      const timer = Number.isFinite(ms) ? setTimeout(() => bell.emit('ring'), ms) : undefined;
      if (!rung) await once(bell, 'ring', { signal }).catch(() => {});
      clearTimeout(timer);
      rung = false;
    },
  };
}

import { setTimeout as delay } from 'node:timers/promises';
import { logger } from '../src/operation/logging.js';

/** What has been opened and must be closed, last opened first. */
export interface Closing {
  add(name: string, close: () => Promise<unknown>): void;
  /** Closes everything once; a part that fails or takes too long does not keep the others. */
  run(): Promise<void>;
}

/** [C-4] leaves 10 s for everything. */
const partMs = 8_000;

export function createClosing(): Closing {
  const parts: { name: string; close: () => Promise<unknown> }[] = [];
  const log = logger('start');
  let running: Promise<void> | undefined;

  async function closeAll(): Promise<void> {
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const from = performance.now();
      const { name, close } = part;
      const closed = close().then(
        () => 'closed',
        (error: unknown) => {
          log.error({ err: error }, `${name} did not close cleanly`);
          return 'failed';
        },
      );
      const outcome = await Promise.race([closed, delay(partMs, 'late', { ref: false })]);
      if (outcome === 'late') log.error(`${name} did not close within ${partMs} ms`);
      log.debug({ milliseconds: Math.round(performance.now() - from) }, `${name} ${outcome}`);
    }
  }

  return {
    add: (name, close) => void parts.push({ name, close }),
    run: () => (running ??= closeAll()),
  };
}

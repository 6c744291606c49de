import { setTimeout as delay } from 'node:timers/promises';

/**
 * Repeats `check` until it neither throws nor answers false; hands back its answer. After the deadline its
 * last error is thrown.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 20 }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<Exclude<T, false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const last = Date.now() >= deadline;
    try {
      const value = await check();
      if (value !== false) return value as Exclude<T, false>;
      if (last) throw new Error(`still false after ${timeoutMs} ms: ${check.toString().slice(0, 200)}`);
    } catch (error) {
      if (last) throw error;
    }
    await delay(intervalMs);
  }
}

import { DomainError } from '../errors.js';

export interface RecentOptions {
  readonly ageMs: number;
  /** The oldest are forgotten first. */
  readonly entriesMax?: number;
  /** Looked up at once; more are told to come back. */
  readonly pendingMax?: number;
  /** Monotonic, in ms. */
  readonly now?: () => number;
}

/**
 * What `load` has found for a key, never older than `ageMs` (from when the question was asked). Who asks meanwhile waits
 * for the same answer; a failure is remembered for nobody.
 */
export function recent<Found>(
  load: (key: string) => Promise<Found>,
  { ageMs, entriesMax = 10_000, pendingMax = 1_000, now = () => performance.now() }: RecentOptions,
): (key: string) => Promise<Found> {
  const entries = new Map<string, { readonly at: number; readonly found: Promise<Found> }>();
  let pending = 0;

  function look(key: string): Promise<Found> {
    if (pending >= pendingMax)
      return Promise.reject(
        new DomainError('DATABASE_UNAVAILABLE', 'Too many callers are looked up at once.', {
          retryAfterSeconds: 1,
        }),
      );
    pending += 1;
    // Also what `load` throws before it has a promise.
    const entry = { at: now(), found: (async () => load(key))() };
    entries.delete(key);
    entries.set(key, entry);
    for (const oldest of entries.keys()) {
      if (entries.size <= entriesMax) break;
      entries.delete(oldest);
    }
    entry.found
      .catch(() => {
        if (entries.get(key) === entry) entries.delete(key);
      })
      .finally(() => {
        pending -= 1;
      });
    return entry.found;
  }

  return (key) => {
    const known = entries.get(key);
    return known !== undefined && now() - known.at < ageMs ? known.found : look(key);
  };
}

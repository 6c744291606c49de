import { DomainError } from '../errors.js';
import { networkOf } from '../http/network-of.js';
import type { Counter } from './limit-counter.js';
import { retryAfterSecondsOf } from './retry-after.js';

/** Keys, tokens and passwords cannot be tried one after another: an address that failed too often is not heard. */
export interface Failures {
  /** Before credentials are looked at. @throws DomainError RATE_LIMITED */
  admit(address: string | null): void;
  /** The credentials of this address were wrong. Never rejects. */
  count(address: string | null): Promise<void>;
}

const blockedMax = 10_000;

/**
 * What is blocked is remembered here, so that asking costs nothing: another instance learns of it with the first
 * failure there, which a shared store refuses at once.
 * @param counter null: nobody is ever blocked
 */
export function createFailures(counter: Counter | null, now: () => number = Date.now): Failures {
  if (counter === null) return { admit: () => undefined, count: () => Promise.resolve() };
  /** Until when, Unix ms, by network. */
  const blocked = new Map<string, number>();
  return {
    admit(address) {
      if (blocked.size === 0) return;
      const network = networkOf(address ?? '');
      const waitMs = (blocked.get(network) ?? 0) - now();
      if (waitMs > 0) throw tooMany(waitMs);
      blocked.delete(network);
    },
    async count(address) {
      const network = networkOf(address ?? '');
      const waitMs = await counter.take(network);
      if (waitMs === null) return;
      if (blocked.size >= blockedMax) blocked.clear();
      blocked.set(network, now() + waitMs);
    },
  };
}

function tooMany(waitMs: number): DomainError {
  const retryAfterSeconds = retryAfterSecondsOf(waitMs);
  return new DomainError(
    'RATE_LIMITED',
    `Too many failed logins from this address; come back in ${retryAfterSeconds} s.`,
    { retryAfterSeconds },
  );
}

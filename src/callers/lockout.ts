import { createHash } from 'node:crypto';
import { RateLimiterRes, type RateLimiterPostgres } from 'rate-limiter-flexible';
import type { Database, Session } from '../database/database.js';
import { DomainError } from '../errors.js';
import { networkOf } from '../http/network-of.js';
import { deleteCounts, deleteOver, limiterOnTable } from './limit-table.js';

export interface LockoutSettings {
  /** Failures of one e-mail from one address before both together are locked. */
  readonly failuresMax: number;
  /** Failures of one e-mail in an hour, from wherever, before it is locked. */
  readonly failuresOfEmailMax: number;
  readonly lockSeconds: number;
}

export const lockoutDefaults: LockoutSettings = {
  failuresMax: 5,
  failuresOfEmailMax: 50,
  lockSeconds: 900,
};

/** One try to log in. Exactly one of the three ends it. */
export interface Try {
  succeeded(): Promise<void>;
  /** @returns whether it was the last one before a lock */
  failed(): Promise<{ readonly locked: boolean }>;
  /** Nothing was judged: it does not count. */
  dropped(): Promise<void>;
}

/** Counts tries before they are judged, so that as many at once are no more than one after the other. */
export interface Lockout {
  /** Also for e-mails that nobody has. @throws DomainError LOGIN_LOCKED, DATABASE_UNAVAILABLE */
  begin(email: string, address: string | null): Promise<Try>;
}

const pairPrefix = 'login-pair';
const emailPrefix = 'login-email';
const sweepMs = 300_000;

export function createLockout(database: Database, settings: LockoutSettings): Lockout {
  const { failuresMax, failuresOfEmailMax, lockSeconds } = settings;
  const pairs = limiterOnTable(database, {
    keyPrefix: pairPrefix,
    points: failuresMax,
    duration: lockSeconds,
    blockDuration: lockSeconds,
  });
  const emails = limiterOnTable(database, {
    keyPrefix: emailPrefix,
    points: failuresOfEmailMax,
    duration: 3_600,
    blockDuration: lockSeconds,
  });

  let sweptAt = performance.now();
  function sweepNow(): void {
    if (performance.now() - sweptAt < sweepMs) return;
    sweptAt = performance.now();
    // The next one sweeps what this one could not.
    deleteOver(database, Date.now()).catch(() => {});
  }

  return {
    async begin(email, address) {
      sweepNow();
      const name = nameOf(email);
      const pair = `${name}:${networkOf(address ?? '')}`;
      const pairLeft = await consume(pairs, pair);
      const emailLeft = await consume(emails, name);
      return {
        async succeeded() {
          await Promise.all([pairs.delete(pair), emails.reward(name)]);
        },
        async failed() {
          const locks = [
            ...(pairLeft === 0 ? [pairs.block(pair, lockSeconds)] : []),
            ...(emailLeft === 0 ? [emails.block(name, lockSeconds)] : []),
          ];
          await Promise.all(locks);
          return { locked: locks.length > 0 };
        },
        async dropped() {
          await Promise.all([pairs.reward(pair), emails.reward(name)]);
        },
      };
    },
  };
}

/** After another password: whoever has it may use it at once. */
export async function unlock(tx: Session, email: string): Promise<void> {
  const name = nameOf(email);
  await deleteCounts(tx, `${emailPrefix}:${name}`, `${pairPrefix}:${name}:`);
}

/** @returns how many tries are left */
async function consume(limiter: RateLimiterPostgres, key: string): Promise<number> {
  try {
    return (await limiter.consume(key)).remainingPoints;
  } catch (spent) {
    if (!(spent instanceof RateLimiterRes)) throw spent;
    const retryAfterSeconds = Math.max(1, Math.ceil(spent.msBeforeNext / 1000));
    throw new DomainError(
      'LOGIN_LOCKED',
      `Too many logins have failed; come back in ${retryAfterSeconds} s.`,
      { retryAfterSeconds },
    );
  }
}

/** The table need not tell who tried to log in. */
function nameOf(email: string): string {
  return createHash('sha256').update(email).digest('hex').slice(0, 32);
}

import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../../errors.js';
import { networkOf } from '../../http/network-of.js';

/** So many requests of one address in a minute; each instance counts for itself. */
export interface RequestLimit {
  /** @throws DomainError RATE_LIMITED, saying when the next one is welcome */
  admit(address: string | null): Promise<void>;
}

/** @param perMinute undefined: any number */
export function createRequestLimit(perMinute: number | undefined): RequestLimit {
  if (perMinute === undefined) return { admit: () => Promise.resolve() };
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  return {
    async admit(address) {
      try {
        await limiter.consume(networkOf(address ?? ''));
      } catch (spent) {
        if (!(spent instanceof RateLimiterRes)) throw spent;
        const retryAfterSeconds = Math.max(1, Math.ceil(spent.msBeforeNext / 1000));
        throw new DomainError(
          'RATE_LIMITED',
          `${perMinute} a minute are taken from one address; come back in ${retryAfterSeconds} s.`,
          { retryAfterSeconds },
        );
      }
    },
  };
}

import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../errors.js';
import { networkOf } from './network-of.js';

export interface LoginThrottle {
  /**
   * Counts an attempt as failed from the start, so that a hundred at once are a hundred.
   * @returns what takes it back when it was none
   * @throws DomainError RATE_LIMITED, saying when the next one is welcome
   */
  attempt(address: string | undefined): Promise<() => Promise<void>>;
}

/** Failed logins of one address (of IPv6 its network); 10 in 5 minutes are enough. Each instance counts for itself. */
export function createLoginThrottle(failuresMax = 10, seconds = 300): LoginThrottle {
  const limiter = new RateLimiterMemory({ points: failuresMax, duration: seconds });
  return {
    async attempt(address = '') {
      const network = networkOf(address);
      try {
        await limiter.consume(network);
      } catch (spent) {
        if (!(spent instanceof RateLimiterRes)) throw spent;
        const retryAfterSeconds = Math.max(1, Math.ceil(spent.msBeforeNext / 1000));
        throw new DomainError(
          'RATE_LIMITED',
          `Too many failed logins from this address; come back in ${retryAfterSeconds} s.`,
          { retryAfterSeconds },
        );
      }
      return async () => void (await limiter.reward(network));
    },
  };
}

import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { DomainError } from '../../errors.js';

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

/** Who has one IPv6 address has 2^64 of them. */
function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(':')) return address;
  const [head = '', tail = ''] = address.split('::', 2);
  const groups = head === '' ? [] : head.split(':');
  const rest = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0');
  return [...groups, ...(address.includes('::') ? zeros : []), ...rest].slice(0, 4).join(':');
}

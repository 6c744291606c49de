import type { IncomingMessage } from 'node:http';
import { isDomainError } from '../errors.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import { addressOf, type Callers } from './callers.js';
import type { Failures } from './failures.js';

/** The same callers, but keys and tokens cannot be tried: `identify` may throw DomainError RATE_LIMITED, too. */
export function cautious(callers: Callers, failures: Failures): Callers {
  return {
    ...callers,
    async identify(request, how) {
      const address = addressOf(request);
      if (showsSomething(request, how?.query === true)) admit(failures, address);
      try {
        return await callers.identify(request, how);
      } catch (error) {
        if (isDomainError(error) && error.code === 'UNAUTHORIZED') await failures.count(address);
        throw error;
      }
    },
  };
}

/** Who shows nothing cannot have tried anything. */
function showsSomething({ headers, url = '' }: IncomingMessage, query: boolean): boolean {
  if (headers.authorization !== undefined || headers['x-api-key'] !== undefined) return true;
  return query && url.includes('access_token=');
}

function admit(failures: Failures, address: string | null): void {
  try {
    failures.admit(address);
  } catch (error) {
    metrics.refusedCalls.inc({ reason: 'rate_failures' });
    logger('callers').warn({ address, reason: 'rate_failures' }, 'call refused');
    throw error;
  }
}

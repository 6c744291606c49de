import { DomainError } from '../src/errors.js';
import type { Message } from './define-node.js';

const patienceMs = 3_000;

/**
 * How long a message may be held while the database is away: a meter's as long as it takes ([M-13]); who waits at the
 * end of an HTTP request hears 503 after a few seconds and may try again, since what is stored twice is a duplicate.
 */
export async function withPatience<T>(
  message: Message,
  closing: AbortSignal,
  work: (wait: { readonly signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  if (message['req'] === undefined) return work({ signal: closing });
  const impatient = new AbortController();
  const timer = setTimeout(() => impatient.abort(away()), patienceMs);
  try {
    return await work({ signal: AbortSignal.any([closing, impatient.signal]) });
  } finally {
    clearTimeout(timer);
  }
}

function away(): DomainError {
  return new DomainError('DATABASE_UNAVAILABLE', 'The database did not answer in time.');
}

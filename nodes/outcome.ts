import { errorStatus, isDomainError } from '../src/errors.js';
import { errorAnswer } from '../src/http/errors.js';
import type { Message } from './define-node.js';

/** The message for one output: named after it, everything else (`req`, `res`, …) stays on. */
export function outcome(message: Message, name: string, payload: unknown): Message {
  return { ...message, topic: name, payload };
}

/** The same for an `http response` behind it. */
export function answer(message: Message, name: string, statusCode: number, payload: unknown): Message {
  return { ...message, topic: name, statusCode, payload };
}

/**
 * A refusal that the caller caused becomes an output; everything else is a failure and goes on to Catch.
 * Throws what it does not know.
 */
export function refusal(message: Message, error: unknown): Message {
  if (!isDomainError(error) || errorStatus[error.code] >= 500) throw error;
  const { status, headers, body } = errorAnswer(error);
  const refused = answer(message, 'refused', status, body);
  return Object.keys(headers).length === 0 ? refused : { ...refused, headers: { ...headers } };
}

import type { ServerResponse } from 'node:http';
import { DomainError, errorStatus } from '../errors.js';
import type { ErrorDetail } from '../errors.js';

/** The one shape of an error towards HTTP (docs/errors.md). */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly error: {
      readonly code: string;
      readonly message: string;
      readonly details?: readonly ErrorDetail[];
    };
  };
}

/** Seconds after which asking again makes sense. */
const usualRetryAfterSeconds: Readonly<Record<number, number>> = { 429: 60, 503: 5 };

/**
 * Maps anything thrown to an answer. Whatever carries no code of ours is INTERNAL and says nothing about itself:
 * its text may hold SQL, paths or secrets ([S-3]).
 */
export function errorAnswer(error: unknown): ErrorAnswer {
  const known = ofOurs(error);
  if (known === undefined) {
    return answer(500, 'INTERNAL', 'Something failed inside; the log says what.');
  }
  const status = errorStatus[known.code];
  return answer(status, known.code, known.message, known.details, known.retryAfterSeconds);
}

/** A code of an integrator's own: what it answers, and when to come back unless the error itself says so. */
export interface OwnCode {
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
}

/** The same for errors with such a code; undefined for all others. Their text is the integrator's, and is told. */
export function ownErrorAnswer(own: ReadonlyMap<string, OwnCode>, error: unknown): ErrorAnswer | undefined {
  const { code, message, retryAfterSeconds } = (error ?? {}) as Readonly<Record<string, unknown>>;
  const known = typeof code === 'string' ? own.get(code) : undefined;
  if (known === undefined || typeof code !== 'string') return undefined;
  // Catch hands on `error.toString()`, which begins with the class name.
  const text = String(message).replace(/^\w*Error: /, '');
  const seconds = Number.isSafeInteger(retryAfterSeconds)
    ? Number(retryAfterSeconds)
    : known.retryAfterSeconds;
  return answer(known.status, code, text, undefined, seconds);
}

/** Answers with an error, once; a response that has begun is left alone. */
export function writeError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, headers, body } = errorAnswer(error);
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(text);
}

type Known = Pick<DomainError, 'code' | 'message' | 'details' | 'retryAfterSeconds'>;

/** Node-RED's Catch copies an error's own properties into a plain object, so the class is not enough to go by. */
function ofOurs(error: unknown): Known | undefined {
  if (error instanceof DomainError) return error;
  if (typeof error !== 'object' || error === null || !('code' in error) || !('message' in error))
    return undefined;
  const { code, message } = error;
  if (typeof code !== 'string' || typeof message !== 'string' || !Object.hasOwn(errorStatus, code))
    return undefined;
  const details =
    'details' in error && Array.isArray(error.details) ? (error.details as ErrorDetail[]) : undefined;
  const retryAfterSeconds =
    'retryAfterSeconds' in error && typeof error.retryAfterSeconds === 'number'
      ? error.retryAfterSeconds
      : undefined;
  // Catch hands on the text with the class in front of it.
  const text = message.replace(/^DomainError: /, '');
  return { code: code as DomainError['code'], message: text, details, retryAfterSeconds };
}

function answer(
  status: number,
  code: string,
  message: string,
  details?: readonly ErrorDetail[],
  retryAfter?: number,
): ErrorAnswer {
  const seconds = retryAfter ?? usualRetryAfterSeconds[status];
  return {
    status,
    headers: seconds === undefined ? {} : { 'retry-after': String(seconds) },
    body: { error: { code, message, ...(details === undefined || details.length === 0 ? {} : { details }) } },
  };
}

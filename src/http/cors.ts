import type { IncomingMessage, ServerResponse } from 'node:http';
import { DomainError } from '../errors.js';
import { writeError } from './errors.js';

const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE';
/** What the API reads. */
const requestHeaders = 'Authorization, Content-Type, Idempotency-Key, X-API-Key';
/** What a page cannot see otherwise. */
const exposed = 'Content-Disposition, Location, Retry-After, WWW-Authenticate, X-Cache, X-Total-Count';
const preflightSeconds = 600;

/** True: it was a question of a browser, and is answered. */
export type Cors = (request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * Lets pages of these origins read answers. No credentials mode: a page brings its own token, and never acts with what
 * the browser remembers of somebody.
 * @param origins exact ones, `https://portal.example`; none: no page of another origin reads anything
 */
export function createCors(origins: readonly string[]): Cors {
  const listed = new Set(origins);
  return (request, response) => {
    const { origin, 'access-control-request-method': asked } = request.headers;
    const isPreflight = request.method === 'OPTIONS' && origin !== undefined && asked !== undefined;
    if (listed.size > 0) response.setHeader('vary', 'Origin');
    if (origin !== undefined && listed.has(origin)) {
      response.setHeader('access-control-allow-origin', origin);
      if (!isPreflight) {
        response.setHeader('access-control-expose-headers', exposed);
        return false;
      }
      response.writeHead(204, {
        'access-control-allow-methods': methods,
        'access-control-allow-headers': requestHeaders,
        'access-control-max-age': String(preflightSeconds),
        vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
      });
      response.end();
      return true;
    }
    if (!isPreflight) return false;
    writeError(response, new DomainError('FORBIDDEN', 'Requests from pages of this origin are not listed.'));
    return true;
  };
}

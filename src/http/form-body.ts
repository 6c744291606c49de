import type { ServerResponse } from 'node:http';
import { bodyLimits, readBytes, refuseBody, type ParsedRequest } from './body.js';

/**
 * Express middleware that reads HTML forms (`a=1&b=2`) where `taken` says so: brokers ask in this form, too. A field
 * given twice counts once, the last one.
 */
export function formBody(taken: (path: string) => boolean) {
  return (request: ParsedRequest, response: ServerResponse, next: () => void): void => {
    const [type = ''] = (request.headers['content-type'] ?? '').toLowerCase().split(';');
    const isForm = type.trim() === 'application/x-www-form-urlencoded';
    if (request._body === true || !isForm || !taken((request.url ?? '/').split('?', 1)[0] ?? '/'))
      return next();
    void parse(request, response, next);
  };
}

async function parse(request: ParsedRequest, response: ServerResponse, next: () => void): Promise<void> {
  try {
    const bytes = await readBytes(request, bodyLimits.bytesMax);
    request.body = Object.fromEntries(new URLSearchParams(bytes.toString('utf8')));
    request._body = true;
  } catch (error) {
    return refuseBody(request, response, error);
  }
  next();
}

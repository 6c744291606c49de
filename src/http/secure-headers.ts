import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { isLoopback } from '../operation/environment-rules.js';

const yearSeconds = 31_536_000;

/** Pages: the editor, the dashboard. Others may not put them into a frame. */
const ofPages = { 'content-security-policy': "frame-ancestors 'self'", 'x-frame-options': 'SAMEORIGIN' };

/** Answers that no page is made of: nothing in them is ever run, framed, or kept by whoever passes them on. */
const ofData = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
};

/** What every answer begins with; who answers may say something else. */
export function secureHeaders(request: IncomingMessage, isData: boolean): Record<string, string> {
  const isEncrypted = (request.socket as Partial<TLSSocket>).encrypted === true;
  return {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    ...(isData ? ofData : ofPages),
    // Every other program on this machine answers to localhost, too.
    ...(isEncrypted && !isLoopback(nameIn(request.headers.host))
      ? { 'strict-transport-security': `max-age=${yearSeconds}` }
      : {}),
  };
}

function nameIn(host = 'localhost'): string {
  return host.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
}

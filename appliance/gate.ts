import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { markCaller } from '../src/callers/judged.js';
import { DomainError } from '../src/errors.js';
import { writeError } from '../src/http/errors.js';
import type { Environment } from '../src/operation/environment.js';
import { logger } from '../src/operation/logging.js';

/** Who may use what the flows serve (API, dashboard, /metrics). The editor has a login of its own. */
export interface Gate {
  admits(request: IncomingMessage): Promise<boolean>;
  /** The answer to somebody who is not admitted. */
  ask(response: ServerResponse): void;
}

/** Open in production, too ([S-1]); the provider's callbacks carry a secret in their path. */
const openPaths =
  /^\/(?:docs(?:\/.*)?|openapi\.json|api\/payments\/(?:stk|c2b\/validation|c2b\/confirmation)\/[^/]+)$/;

/**
 * Demo: everybody on loopback. Production: the administrator, by HTTP Basic with the editor's name and password,
 * until tokens, roles and API keys come.
 */
export function createGate(environment: Environment): Gate {
  const hash = environment.ADMIN_PASSWORD_HASH;
  if (environment.METERFLOW_PROFILE !== 'production' || hash === undefined) {
    return { admits: () => Promise.resolve(true), ask: () => undefined };
  }
  const bcrypt = createRequire(require.resolve('node-red'))('bcryptjs') as Bcrypt;
  // A bcrypt comparison costs 50 ms and more, so the last good login is remembered, as a digest only.
  let known: Buffer | undefined;

  async function admits(request: IncomingMessage): Promise<boolean> {
    if (openPaths.test((request.url ?? '/').split('?', 1)[0] ?? '/')) return true;
    const [scheme = '', sent = ''] = (request.headers.authorization ?? '').split(' ');
    if (scheme.toLowerCase() !== 'basic' || sent === '') return false;
    const digest = createHash('sha256').update(sent).digest();
    if (known !== undefined && timingSafeEqual(known, digest)) return welcome(request);
    const [user = '', ...password] = Buffer.from(sent, 'base64').toString('utf8').split(':');
    const good = (await bcrypt.compare(password.join(':'), hash ?? '')) && user === environment.ADMIN_USER;
    if (good) {
      known = digest;
      return welcome(request);
    }
    logger('http').warn({ address: request.socket.remoteAddress, reason: 'wrong login' }, 'request refused');
    return false;
  }

  /** The guards behind take our word. */
  function welcome(request: IncomingMessage): true {
    const name = environment.ADMIN_USER;
    markCaller(request, {
      kind: 'administrator',
      name,
      user_id: null,
      role: 'admin',
      scopes: null,
      expires_at: null,
    });
    return true;
  }

  return {
    admits,
    ask(response) {
      response.setHeader('www-authenticate', 'Basic realm="Meterflow", charset="UTF-8"');
      writeError(response, new DomainError('UNAUTHORIZED', 'Log in first.'));
    },
  };
}

interface Bcrypt {
  compare(password: string, hash: string): Promise<boolean>;
}

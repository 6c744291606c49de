import { randomBytes } from 'node:crypto';
import type { Node, NodeAPI, NodeDef } from 'node-red';
import type { Callers } from '../src/callers/callers.js';
import type { Passwords } from '../src/callers/passwords.js';
import { acquireCallers, isOpen, type HeldCallers } from '../src/callers/runtime.js';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import { defineConfigNode } from './define-node.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  access: string;
  jwksUrl: string;
  issuer: string;
  audience: string;
  ttlSeconds: string;
}

interface Credentials {
  jwtSecret: string;
}

/** Who may call, for the nodes that judge callers, log them in and look after their accounts. */
export interface CallersResource {
  readonly callers: Callers;
  readonly passwords: Passwords;
  readonly database: Database;
}

/** One for the whole house, so that everybody is judged alike. */
export default function (RED: NodeAPI): void {
  const held = new WeakMap<CallersResource, HeldCallers>();
  defineConfigNode<Config, Credentials, CallersResource>(RED, {
    type: 'meter-callers',
    credentials: { jwtSecret: { type: 'password' } },
    open(config, credentials, node, use) {
      const database = use<Database>(config.database, 'database');
      const access = textSetting(config.access, 'production');
      const jwksUrl = urlOf(textSetting(config.jwksUrl, ''));
      const shared = acquireCallers(
        {
          access,
          jwksUrl,
          secret: secretOf(textSetting(credentials.jwtSecret, ''), { access, jwksUrl, node }),
          issuer: textSetting(config.issuer, 'meterflow'),
          audience: textSetting(config.audience, 'meterflow'),
          ttlSeconds: numberSetting(config.ttlSeconds, 3_600, {
            name: 'A login lasts',
            min: 60,
            max: 86_400,
            whole: true,
          }),
        },
        database,
      );
      const resource = { callers: shared.callers, passwords: shared.passwords, database };
      held.set(resource, shared);
      return resource;
    },
    close(resource) {
      held.get(resource)?.release();
      return Promise.resolve();
    },
  });
}

interface Around {
  readonly access: string;
  readonly jwksUrl: string | null;
  readonly node: Node;
}

/** 256 bit, as HS256 asks for (RFC 7518, 3.2). */
function secretOf(secret: string, { access, jwksUrl, node }: Around): string | null {
  if (secret === '') {
    if (jwksUrl !== null) return null;
    if (!isOpen(access))
      throw new DomainError(
        'CONFIGURATION',
        'Logins need a secret or a key set: set JWT_SECRET or JWT_JWKS_URL.',
      );
    node.warn('There is no JWT_SECRET: logins hold until the flows are deployed anew.');
    return randomBytes(32).toString('hex');
  }
  if (Buffer.byteLength(secret) < 32 && !isOpen(access))
    throw new DomainError('CONFIGURATION', 'JWT_SECRET must have at least 32 bytes.');
  return secret;
}

function urlOf(text: string): string | null {
  if (text === '') return null;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new DomainError('CONFIGURATION', 'The address of the key set must be http:// or https://.');
  return text;
}

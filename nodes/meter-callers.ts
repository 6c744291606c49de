import { randomBytes } from 'node:crypto';
import type { Node, NodeAPI, NodeDef } from 'node-red';
import type { Callers } from '../src/callers/callers.js';
import { cautious } from '../src/callers/cautious.js';
import { createCaptcha, type Captcha } from '../src/callers/captcha.js';
import { limitStores, openLimitStore } from '../src/callers/limit-store.js';
import { createLimits, type Limits } from '../src/callers/limits.js';
import { findOwners } from '../src/callers/owner-store.js';
import { createOwnership, type Ownership } from '../src/callers/ownership.js';
import type { Passwords } from '../src/callers/passwords.js';
import { acquireCallers, isOpen } from '../src/callers/runtime.js';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import { defineConfigNode, type Use } from './define-node.js';
import type { RedisResource } from './meter-redis.js';
import { numberSetting, rateSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  access: string;
  jwksUrl: string;
  issuer: string;
  audience: string;
  ttlSeconds: string;
  redis: string;
  limitStore: string;
  perAddress: string;
  perCaller: string;
  perDevice: string;
  failures: string;
  captchaUrl: string;
}

interface Credentials {
  jwtSecret: string;
  captchaSecret: string;
}

/** Who may call, for the nodes that judge callers, log them in and look after their accounts. */
export interface CallersResource {
  readonly callers: Callers;
  readonly passwords: Passwords;
  readonly database: Database;
  readonly limits: Limits;
  readonly ownership: Ownership;
  /** Null: nobody is asked whether he is a person. */
  readonly captcha: Captcha | null;
}

/** One for the whole house, so that everybody is judged alike. */
export default function (RED: NodeAPI): void {
  const held = new WeakMap<CallersResource, () => void>();
  defineConfigNode<Config, Credentials, CallersResource>(RED, {
    type: 'meter-callers',
    credentials: { jwtSecret: { type: 'password' }, captchaSecret: { type: 'password' } },
    open(config, credentials, node, use) {
      const database = use<Database>(config.database, 'database');
      const access = textSetting(config.access, 'production');
      const jwksUrl = urlOf(textSetting(config.jwksUrl, ''));
      const settings = {
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
      };
      const captcha = captchaOf(config, credentials);
      const counting = limitsOf(config, { database, use, node });
      const shared = acquireCallers(settings, database);
      const resource = {
        callers: cautious(shared.callers, counting.limits.failures),
        passwords: shared.passwords,
        database,
        limits: counting.limits,
        ownership: createOwnership((names) => findOwners(database, names)),
        captcha,
      };
      held.set(resource, () => {
        shared.release();
        counting.close();
      });
      return resource;
    },
    close(resource) {
      held.get(resource)?.();
      return Promise.resolve();
    },
  });
}

interface House {
  readonly database: Database;
  readonly use: Use;
  readonly node: Node;
}

function limitsOf(config: Config, { database, use, node }: House): { limits: Limits; close: () => void } {
  const named = textSetting(config.limitStore, 'auto');
  const kind = limitStores.find((each) => each === named);
  if (kind === undefined)
    throw new DomainError(
      'CONFIGURATION',
      `Limits are kept in ${limitStores.join(', ')}, not in "${named}".`,
    );
  const redis = textSetting(config.redis, '') === '' ? null : use<RedisResource>(config.redis, 'redis');
  const rates = {
    perAddress: rateSetting(config.perAddress, null, 'Per address'),
    perCaller: rateSetting(config.perCaller, null, 'Per caller'),
    perDevice: rateSetting(config.perDevice, null, 'Per meter'),
    failuresPerAddress: rateSetting(config.failures, 20, 'Failed logins'),
  };
  const { store, close } = openLimitStore(kind, { redis, database });
  const limits = createLimits({
    ...rates,
    store,
    onStore(problem) {
      if (problem === null) node.log('Limits are counted for all instances again');
      else node.warn(`Each instance counts limits for itself: ${problem}`);
    },
  });
  return { limits, close };
}

function captchaOf(config: Config, credentials: Partial<Credentials>): Captcha | null {
  const url = urlOf(textSetting(config.captchaUrl, ''));
  return url === null ? null : createCaptcha({ url, secret: textSetting(credentials.captchaSecret, '') });
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

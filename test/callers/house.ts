import { randomBytes } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Database } from '../../src/database/database.js';
import { createCallers, type Callers, type CallersOptions } from '../../src/callers/callers.js';
import type { Role } from '../../src/callers/caller.js';
import { createPasswords, type PasswordOptions, type Passwords } from '../../src/callers/passwords.js';
import { createTokens, type Tokens, type TokenSettings } from '../../src/callers/tokens.js';

export const secret = 'a secret of the tests, longer than 32 bytes';

export function tokensBy(settings: Partial<TokenSettings> = {}): Tokens {
  return createTokens({
    secret: settings.jwksUrl == null ? secret : null,
    jwksUrl: null,
    issuer: 'meterflow',
    audience: 'meterflow',
    ttlSeconds: 3_600,
    ...settings,
  });
}

export function callersOn(database: Database, options: Partial<CallersOptions> = {}): Callers {
  return createCallers({ database: () => database, tokens: tokensBy(), stranger: null, ...options });
}

/** A request as Node.js parses it: `raw` is name, value, name, value… */
export function requestWith(raw: readonly string[] = [], url = '/api/meter_data'): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  request.url = url;
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase();
    (request.headersDistinct[name] ??= []).push(raw[at + 1] ?? '');
  }
  return request;
}

export function bearer(token: string): IncomingMessage {
  return requestWith(['Authorization', `Bearer ${token}`]);
}

let people = 0;

/** @returns its id */
export async function personOf(
  database: Database,
  { email = `person${(people += 1)}@example.org`, role = 'prosumer' }: { email?: string; role?: Role } = {},
): Promise<string> {
  const { rows } = await database.query<{ id: string }>({
    text: 'insert into users (email, role) values ($1, $2) returning id::text',
    values: [email, role],
  });
  return rows[0]?.id ?? '';
}

export function randomKey(): string {
  return `mfk_${randomBytes(32).toString('base64url')}`;
}

/** Ones that take a moment, as tests have many. */
export function quickPasswords(options: PasswordOptions = {}): Passwords {
  return createPasswords({ cost: 4, ...options });
}

/** Nobody is there, and nothing has happened. */
export async function emptied(database: Database): Promise<void> {
  for (const table of ['api_keys', 'users', 'audit_log', 'rate_limits'])
    await database.query({ text: `delete from ${table}` });
}

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { KnownCaller } from './caller.js';
import {
  selectAccount,
  selectAccountOfEmail,
  selectKey,
  updateKeyUse,
  type CallingAccount,
  type CallingKey,
} from './caller-store.js';
import { credentialsOf } from './credentials.js';
import { recent } from './recent.js';
import { RefusedCall } from './refused-call.js';
import type { Claims, Tokens } from './tokens.js';
import { isUuid } from '../uuid.js';

export interface CallersOptions {
  /** Asked at each look: a redeploy brings a new one. */
  readonly database: () => Database;
  readonly tokens: Tokens;
  /** The demo's admin; null where nobody is let in without a login. */
  readonly stranger: KnownCaller | null;
  /** Unix ms. */
  readonly now?: () => number;
}

/** Who calls. */
export interface Callers {
  /**
   * Null: nothing was sent. A change of an account or of a key holds after a second at the latest.
   * @param query also `?access_token=`
   * @throws DomainError UNAUTHORIZED, in the same words whatever was wrong; DATABASE_UNAVAILABLE, LOGIN_PROVIDER_UNAVAILABLE
   */
  identify(request: IncomingMessage, how?: { readonly query?: boolean }): Promise<KnownCaller | null>;
  /**
   * Who has shown his password at that time (Unix ms, of the database), as he is now.
   * @throws DomainError UNAUTHORIZED when it holds no longer; DATABASE_UNAVAILABLE
   */
  recall(
    proven: { readonly user_id: string; readonly at: number },
    request: IncomingMessage,
  ): Promise<KnownCaller>;
  /** Who acts for those who sent nothing; null: nobody. */
  readonly stranger: KnownCaller | null;
  readonly tokens: Tokens;
}

/** Within the second that is promised, with time for the look itself. */
const lookAgeMs = 800;
const keyUseMs = 60_000;

export function createCallers({ database, tokens, stranger, now = Date.now }: CallersOptions): Callers {
  const accountOf = recent((id) => selectAccount(database(), id), { ageMs: lookAgeMs });
  const accountOfEmail = recent((email) => selectAccountOfEmail(database(), email), { ageMs: lookAgeMs });
  const keyOf = recent((digest) => selectKey(database(), digest), { ageMs: lookAgeMs });
  const noted = recent((id) => noteUse(database(), id), { ageMs: keyUseMs });

  async function person(token: string): Promise<KnownCaller> {
    const claims = await tokens.verify(token);
    const account = await accountOfClaims(claims);
    // Without a time of its own nobody knows whether it is older.
    return personOf(account, claims.issued_at ?? -Infinity, claims.expires_at);
  }

  async function accountOfClaims({ subject, email }: Claims): Promise<CallingAccount> {
    const bySubject = subject !== null && isUuid(subject) ? await accountOf(subject.toLowerCase()) : null;
    // Only a provider of logins names people by their e-mail; its own names for them are often UUIDs, too.
    const byEmail = tokens.issue === null && email !== null && isText(email);
    const account = bySubject ?? (byEmail ? await accountOfEmail(email) : null);
    if (account === null) throw new RefusedCall('account_unknown');
    return account;
  }

  async function machine(secret: string): Promise<KnownCaller> {
    const key = await keyOf(createHash('sha256').update(secret).digest('hex'));
    if (key === null) throw new RefusedCall('key_unknown');
    if (key.revoked) throw new RefusedCall('key_revoked');
    if (key.expires_at !== null && key.expires_at <= now()) throw new RefusedCall('key_expired');
    if (key.disabled) throw new RefusedCall('account_disabled');
    if (now() - (key.last_used_at ?? 0) >= keyUseMs) await noted(key.id);
    return callerOfKey(key);
  }

  return {
    stranger,
    tokens,
    identify: (request, how) =>
      judged(request, async () => {
        const shown = credentialsOf(request, how);
        if (shown === null) return null;
        return shown.kind === 'key' ? machine(shown.secret) : person(shown.secret);
      }),
    recall: ({ user_id, at }, request) =>
      judged(request, async () => {
        const account = await accountOf(user_id);
        if (account === null) throw new RefusedCall('account_unknown');
        return personOf(account, at, null);
      }),
  };
}

/** @param since when he logged in; what is older than the account allows is void */
function personOf(account: CallingAccount, since: number, expires_at: number | null): KnownCaller {
  if (account.disabled) throw new RefusedCall('account_disabled');
  if (account.tokens_from !== null && since < account.tokens_from) throw new RefusedCall('void');
  const { id: user_id, email: name, role } = account;
  return { kind: 'person', name, user_id, role, scopes: null, expires_at };
}

/** @throws DomainError in place of RefusedCall, which stays inside this room */
async function judged<Found>(request: IncomingMessage, judge: () => Promise<Found>): Promise<Found> {
  try {
    return await judge();
  } catch (error) {
    if (!(error instanceof RefusedCall)) throw error;
    throw refused(request, error);
  }
}

function callerOfKey({ name, user_id, role, scopes, expires_at }: CallingKey): KnownCaller {
  return { kind: 'key', name: `key:${name}`, user_id, role: role ?? 'operator', scopes, expires_at };
}

/** That a key was used is for people to see: nobody is refused for it. */
async function noteUse(database: Database, id: string): Promise<void> {
  try {
    await updateKeyUse(database, id);
  } catch (error) {
    logger('callers').debug({ err: error }, 'the use of a key was not noted');
  }
}

function refused(request: IncomingMessage, { reason }: RefusedCall): DomainError {
  metrics.refusedCalls.inc({ reason });
  logger('callers').warn({ address: addressOf(request), reason }, 'call refused');
  return new DomainError('UNAUTHORIZED', 'This login does not hold, or no longer: log in again.');
}

/** Behind express the one that TRUST_PROXY believes. */
export function addressOf(request: IncomingMessage & { readonly ip?: string | undefined }): string | null {
  return request.ip ?? request.socket.remoteAddress ?? null;
}

/** PostgreSQL takes no NUL, and no e-mail is longer. */
function isText(text: string): boolean {
  return text.length <= 254 && !text.includes('\0');
}

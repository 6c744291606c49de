import { Type } from 'typebox';
import type { Database } from '../database/database.js';
import { audit } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { Role } from './caller.js';
import { checker } from './checked.js';
import type { Lockout } from './lockout.js';
import { selectLogin, updateLogin, type LoginAccount } from './login-store.js';
import type { Passwords } from './passwords.js';
import type { Tokens } from './tokens.js';

/** What POST /api/auth/token takes ([H-17]); the API's document shows this very schema. */
export const loginBody = Type.Object({
  email: Type.String({ minLength: 1, maxLength: 254, pattern: '^[^\\u0000-\\u001f]+$' }),
  password: Type.String({ minLength: 1, maxLength: 256 }),
});
const asLogin = checker<{ readonly email: string; readonly password: string }>('The login', loginBody);

/** [H-17], with OAuth's names beside ours. */
export interface LoggedIn {
  readonly access_token: string;
  /** The same. */
  readonly token: string;
  readonly token_type: 'Bearer';
  /** Seconds. */
  readonly expires_in: number;
  readonly user_id: string;
  readonly role: Role;
}

/** Somebody who has shown his password. */
export interface Proven {
  readonly user_id: string;
  readonly email: string;
  readonly role: Role;
  /** Unix ms, by the database's clock. */
  readonly at: number;
}

/** People who log in with e-mail and password. Every try is counted, logged, and, of a known account, audited. */
export interface Logins {
  /** @throws DomainError SCHEMA_INVALID, UNAUTHORIZED, LOGIN_LOCKED, LOGIN_BUSY, LOGIN_ELSEWHERE */
  logIn(body: unknown, address: string | null): Promise<LoggedIn>;
  /** The same without a token. */
  prove(email: string, password: string, address: string | null): Promise<Proven>;
  /** Until what is still to be written down of failures is. */
  close(): Promise<void>;
}

export interface LoginOptions {
  readonly database: Database;
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  readonly lockout: Lockout;
}

export function createLogins({ database, tokens, passwords, lockout }: LoginOptions): Logins {
  const notes = new Set<Promise<void>>();

  async function prove(email: string, password: string, address: string | null): Promise<Proven> {
    const small = email.toLowerCase();
    const attempt = await lockout.begin(small, address).catch((error: unknown) => {
      if (error instanceof DomainError && error.code === 'LOGIN_LOCKED') told('locked', address);
      throw error;
    });
    const { account, proven } = await judge(small, password, address).catch(async (error: unknown) => {
      // What was in the way is told, whether this succeeds or not.
      await attempt.dropped().catch(() => {});
      throw error;
    });
    if (proven !== null) {
      await attempt.succeeded();
      told('granted', address, proven.user_id);
      return proven;
    }
    const { locked } = await attempt.failed();
    told('refused', address, account?.id);
    // Not awaited: who listens to the clock must not learn whose e-mail is known.
    if (account !== null) note(account.id, { email: small, address, locked });
    throw new DomainError('UNAUTHORIZED', 'E-mail or password is wrong.');
  }

  async function judge(email: string, password: string, address: string | null): Promise<Judged> {
    const account = await selectLogin(database, email);
    const matches = await passwords.matches(password, account?.password_hash ?? null);
    return { account, proven: matches && account !== null ? await enter(account, address) : null };
  }

  /** Null for a disabled account, and one whose password was changed in this moment. */
  function enter(account: LoginAccount, address: string | null): Promise<Proven | null> {
    return database.transaction(async (tx) => {
      const entered = await updateLogin(tx, account);
      if (entered === null) return null;
      const { id, email } = account;
      await audit(tx, { name: email, address }, { action: 'login.granted', subject: id });
      return { user_id: id, email, role: entered.role, at: entered.at };
    });
  }

  function note(subject: string, { email, address, locked }: Failure): void {
    const action = locked ? 'login.locked' : 'login.refused';
    const noted = audit(database, { name: email, address }, { action, subject })
      .catch((error: unknown) =>
        logger('callers').error({ err: error, user_id: subject }, 'a failed login was not audited'),
      )
      .finally(() => notes.delete(noted));
    notes.add(noted);
  }

  return {
    prove,
    async logIn(body, address) {
      const { issue, ttlSeconds } = tokens;
      if (issue === null)
        throw new DomainError('LOGIN_ELSEWHERE', 'People log in at the provider of JWT_JWKS_URL, not here.');
      const { email, password } = asLogin(body);
      const { user_id, role, at } = await prove(email, password, address);
      const token = await issue({ user_id, role, issued_at: at });
      return { access_token: token, token, token_type: 'Bearer', expires_in: ttlSeconds, user_id, role };
    },
    async close() {
      await Promise.all(notes);
    },
  };
}

interface Judged {
  readonly account: LoginAccount | null;
  readonly proven: Proven | null;
}

interface Failure {
  readonly email: string;
  readonly address: string | null;
  readonly locked: boolean;
}

/** What was typed as the e-mail is not logged: it may be the password. */
function told(outcome: 'granted' | 'refused' | 'locked', address: string | null, user_id?: string): void {
  metrics.logins.inc({ outcome });
  const log = logger('callers');
  if (outcome === 'granted') log.info({ address, user_id }, 'logged in');
  else log.warn({ address, user_id, reason: outcome }, 'login refused');
}

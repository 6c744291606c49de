import type { Database } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { pageRequest, type ListQuery, type Page } from '../http/page.js';
import {
  asAccountId,
  asAccountPatch,
  asNewAccount,
  unknownAccount,
  type AccountPatch,
  type UserAccount,
} from './account.js';
import {
  accountSorts,
  insertUser,
  lockUser,
  selectAccounts,
  selectUser,
  selectUserId,
  updateUser,
} from './account-store.js';
import { invalid } from './checked.js';
import { flag, oneOf, text } from './filters.js';
import { roles } from './caller.js';
import { unlock } from './lockout.js';
import type { Passwords } from './passwords.js';
import { refuseWeakPassword } from './weak-passwords.js';

/** Accounts of people ([H-17]). Every change is in the audit log, in its transaction. */
export interface Accounts {
  /** Filters email (a part of it), role, disabled, wallet_address. @throws DomainError SCHEMA_INVALID */
  list(query?: ListQuery): Promise<Page<UserAccount>>;
  /** @throws DomainError ACCOUNT_UNKNOWN */
  one(id: string): Promise<UserAccount>;
  /** @throws DomainError SCHEMA_INVALID, PASSWORD_WEAK, EMAIL_TAKEN, LOGIN_BUSY */
  add(body: unknown, caller: Caller): Promise<UserAccount>;
  /**
   * Another role or password, disabled and `log_out` end all tokens made until now, a password its lock.
   * @throws DomainError SCHEMA_INVALID, PASSWORD_WEAK, ACCOUNT_UNKNOWN, LAST_ADMIN, LOGIN_BUSY
   */
  change(id: string, body: unknown, caller: Caller): Promise<UserAccount>;
  /** For people who know the e-mail. @throws DomainError ACCOUNT_UNKNOWN */
  idOf(email: string): Promise<string>;
}

export interface AccountOptions {
  readonly passwords: Passwords;
  /** False where people log in at a provider. */
  readonly passwordNeeded: boolean;
}

export function createAccounts(database: Database, { passwords, passwordNeeded }: AccountOptions): Accounts {
  async function hashed(password: string | undefined, email: string): Promise<string | null> {
    if (password === undefined) return null;
    refuseWeakPassword(password, email);
    return passwords.hash(password);
  }

  async function one(id: string): Promise<UserAccount> {
    const found = await selectUser(database, asAccountId(id));
    if (found === null) throw unknownAccount(id);
    return found;
  }

  return {
    one,
    async list(query = {}) {
      const request = pageRequest(query, accountSorts);
      const filter = {
        email: text(query, 'email'),
        role: oneOf(query, 'role', roles),
        disabled: flag(query, 'disabled'),
        wallet: text(query, 'wallet_address'),
      };
      const found = await selectAccounts(database, request, filter);
      return { ...found, page: request.page, limit: request.limit };
    },
    async add(body, caller) {
      const { email, password, role, wallet_address = null } = asNewAccount(body);
      if (password === undefined && passwordNeeded)
        throw invalid('The account', [{ path: '/password', message: 'is missing' }]);
      const password_hash = await hashed(password, email);
      return database.transaction(async (tx) => {
        const added = await insertUser(tx, { email, role, wallet_address, password_hash });
        if (added === null) throw new DomainError('EMAIL_TAKEN', `There is an account ${email} already.`);
        const details = { email, role, wallet_address };
        await audit(tx, caller, { action: 'user.added', subject: added.id, details });
        return added;
      });
    },
    async change(id, body, caller) {
      const patch = asAccountPatch(body);
      // Made before the transaction, which would else hold its locks for as long.
      const password_hash = await hashed(patch.password, (await one(id)).email);
      return database.transaction(async (tx) => {
        const { account, otherAdmins } = await lockUser(tx, asAccountId(id), { passwordNeeded });
        if (account === null) throw unknownAccount(id);
        const { role = account.role, disabled = account.disabled } = patch;
        const { wallet_address = account.wallet_address } = patch;
        if (isAdmin(account) && !isAdmin({ role, disabled }) && otherAdmins === 0)
          throw new DomainError('LAST_ADMIN', `${account.email} is the last admin who can log in.`);
        const after = { role, disabled, wallet_address };
        const details = changed(account, after, patch);
        if (Object.keys(details).length === 0) return account;
        const logOut =
          'role' in details || 'disabled' in details || 'password' in details || 'log_out' in details;
        const updated = await updateUser(tx, account.id, { ...after, password_hash, logOut });
        if (updated === null) throw unknownAccount(id);
        if (password_hash !== null) await unlock(tx, account.email);
        await audit(tx, caller, {
          action: 'user.changed',
          subject: account.id,
          details: { email: account.email, ...details },
        });
        return updated;
      });
    },
    async idOf(email) {
      const id = await selectUserId(database, email.toLowerCase());
      if (id === null) throw unknownAccount(email);
      return id;
    },
  };
}

function isAdmin({ role, disabled }: Pick<UserAccount, 'role' | 'disabled'>): boolean {
  return role === 'admin' && !disabled;
}

type Changeable = Pick<UserAccount, 'role' | 'disabled' | 'wallet_address'>;

/** What the audit log keeps: the new values, of a password only that there is one. */
function changed(before: Changeable, after: Changeable, patch: AccountPatch): Record<string, unknown> {
  return {
    ...(after.role === before.role ? {} : { role: after.role }),
    ...(after.disabled === before.disabled ? {} : { disabled: after.disabled }),
    ...(after.wallet_address === before.wallet_address ? {} : { wallet_address: after.wallet_address }),
    ...(patch.password === undefined ? {} : { password: 'changed' }),
    ...(patch.log_out === undefined ? {} : { log_out: true }),
  };
}

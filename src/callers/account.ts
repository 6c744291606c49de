import { Type } from 'typebox';
import { DomainError } from '../errors.js';
import { roles, type Role } from './caller.js';
import { checker } from './checked.js';
import { isUuid } from '../uuid.js';

/** Somebody who may log in ([H-17]), as the API shows him: never his password. */
export interface UserAccount {
  readonly id: string;
  readonly email: string;
  readonly role: Role;
  readonly wallet_address: string | null;
  readonly disabled: boolean;
  /** RFC 3339. */
  readonly created_at: string;
  readonly last_login_at: string | null;
}

const role = Type.String({ enum: [...roles], description: 'prosumer: his own meters only.' });
const passwordText = 'Stored as a scrypt hash; the commonest ones and the e-mail itself are refused.';
const password = Type.String({ minLength: 12, maxLength: 256, description: passwordText });
/** As one finds it in a browser's e-mail field (WHATWG), with a dot in the domain or not. */
const emailForm =
  "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$";
const wallet = { pattern: '^[A-Za-z0-9:._-]{1,128}$', description: 'Where readings are minted to.' };

/** What POST /api/admin/users takes; the API's document shows this very schema. */
export const newAccount = Type.Object({
  email: Type.String({ maxLength: 254, pattern: emailForm, description: 'Kept in small letters.' }),
  password: Type.Optional({
    ...password,
    description: `${passwordText} Needed unless people log in at a provider.`,
  }),
  role,
  wallet_address: Type.Optional({ ...Type.String(wallet), type: ['string', 'null'] }),
});

/** What PATCH /api/admin/users/{id} takes. */
export const accountPatch = Type.Object({
  role: Type.Optional(role),
  password: Type.Optional(password),
  disabled: Type.Optional(
    Type.Boolean({ description: 'Tokens and keys of the account end within a second.' }),
  ),
  wallet_address: Type.Optional({ ...Type.String(wallet), type: ['string', 'null'] }),
  log_out: Type.Optional(Type.Literal(true, { description: 'Ends all tokens made until now.' })),
});

export interface NewAccount {
  readonly email: string;
  readonly password?: string;
  readonly role: Role;
  readonly wallet_address?: string | null;
}

export interface AccountPatch {
  readonly role?: Role;
  readonly password?: string;
  readonly disabled?: boolean;
  readonly wallet_address?: string | null;
  readonly log_out?: true;
}

const forms = {
  '/email': 'must be an e-mail address',
  '/wallet_address': 'must be 1 to 128 letters, digits, or : . _ -',
};

const checkedAccount = checker<NewAccount>('The account', newAccount, forms);

/** @throws DomainError SCHEMA_INVALID */
export function asNewAccount(input: unknown): NewAccount {
  const account = checkedAccount(input);
  return { ...account, email: account.email.toLowerCase() };
}

/** @throws DomainError SCHEMA_INVALID */
export const asAccountPatch = checker<AccountPatch>('The account', accountPatch, forms);

/** @throws DomainError ACCOUNT_UNKNOWN for what is no id at all */
export function asAccountId(text: string): string {
  if (isUuid(text)) return text.toLowerCase();
  throw unknownAccount(text);
}

export function unknownAccount(id: string): DomainError {
  return new DomainError('ACCOUNT_UNKNOWN', `There is no account ${JSON.stringify(id.slice(0, 64))}.`);
}

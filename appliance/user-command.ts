import { parseArgs } from 'node:util';
import { createAccounts, type Accounts } from '../src/callers/accounts.js';
import type { Passwords } from '../src/callers/passwords.js';
import type { Database } from '../src/database/database.js';

export const usage = `Accounts of people. The database is the one of DATABASE_URL, else the embedded one of a
Meterflow that runs on DATA_DIR. Passwords are asked for, or read from the first line of stdin.

  npm run user -- add EMAIL --role admin|operator|prosumer [--wallet ADDRESS] [--no-password]
  npm run user -- list
  npm run user -- password EMAIL       another password; ends all tokens, opens a lock
  npm run user -- role EMAIL ROLE
  npm run user -- disable EMAIL        ends all tokens and keys of the account
  npm run user -- enable EMAIL

--no-password: for people who log in at the provider of JWT_JWKS_URL.
`;

interface Told {
  readonly accounts: Accounts;
  readonly email: string;
  readonly rest: readonly string[];
  readonly values: { readonly role?: string; readonly wallet?: string; readonly 'no-password'?: boolean };
  readonly askPassword: () => Promise<string>;
}

export interface UserCommandOptions {
  readonly database: Database;
  readonly passwords: Passwords;
  /** False where people log in at a provider. */
  readonly passwordNeeded: boolean;
  readonly askPassword: () => Promise<string>;
}

const caller = { name: `npm run user (${process.env['USER'] ?? 'unknown'})` };

const commands: Readonly<Record<string, (told: Told) => Promise<string>>> = {
  async add({ accounts, email, values, askPassword }) {
    const password = values['no-password'] === true ? {} : { password: await askPassword() };
    const wallet = values.wallet === undefined ? {} : { wallet_address: values.wallet };
    const added = await accounts.add({ email, role: values.role, ...password, ...wallet }, caller);
    return `${added.role} ${added.email} may log in\n`;
  },
  async list({ accounts }) {
    const lines: string[] = [];
    for (let page = 1; ; page += 1) {
      const { data, total, limit } = await accounts.list({ page, limit: 100, sort: 'email', order: 'asc' });
      for (const { email, role, disabled, last_login_at } of data)
        lines.push(
          `${role.padEnd(9)} ${email}${disabled ? ' (disabled)' : ''}  ${last_login_at ?? 'never'}\n`,
        );
      if (page * limit >= total) return lines.join('') || 'There is no account yet.\n';
    }
  },
  password: async ({ accounts, email, askPassword }) => {
    const id = await accounts.idOf(email);
    await accounts.change(id, { password: await askPassword() }, caller);
    return `${email} has another password; all tokens made until now are void\n`;
  },
  role: async ({ accounts, email, rest: [role] }) => {
    const changed = await accounts.change(await accounts.idOf(email), { role }, caller);
    return `${changed.email} is ${changed.role}\n`;
  },
  disable: async ({ accounts, email }) => {
    await accounts.change(await accounts.idOf(email), { disabled: true }, caller);
    return `${email} is disabled\n`;
  },
  enable: async ({ accounts, email }) => {
    await accounts.change(await accounts.idOf(email), { disabled: false }, caller);
    return `${email} may log in again\n`;
  },
};

/**
 * The command as a function, or null when it is none of ours.
 * @returns what to print @throws DomainError of the accounts
 */
export function userCommand(
  args: readonly string[],
): ((options: UserCommandOptions) => Promise<string>) | null {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      role: { type: 'string' },
      wallet: { type: 'string' },
      'no-password': { type: 'boolean' },
    },
  });
  const [name = '', email = '', ...rest] = positionals;
  const work = commands[name];
  if (work === undefined || (email === '' && name !== 'list')) return null;
  return ({ database, passwords, passwordNeeded, askPassword }) => {
    const needed = passwordNeeded && values['no-password'] !== true;
    const accounts = createAccounts(database, { passwords, passwordNeeded: needed });
    return work({ accounts, email, rest, values, askPassword });
  };
}

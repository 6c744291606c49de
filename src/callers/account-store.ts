import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { UserAccount } from './account.js';
import type { Role } from './caller.js';

const accountColumns = `u.id::text, u.email, u.role, u.wallet_address, u.disabled_at is not null as disabled, u.created_at,
  u.last_login_at`;

/** What the list can be sorted by, the default first. */
export const accountSorts = ['created_at', 'email', 'role', 'last_login_at'] as const;
export type AccountSort = (typeof accountSorts)[number];

/** Which ones; null: any. */
export interface AccountFilter {
  /** A part of it. */
  readonly email: string | null;
  readonly role: string | null;
  readonly disabled: boolean | null;
  readonly wallet: string | null;
}

const matching = `($1::text is null or strpos(u.email, lower($1)) > 0) and ($2::text is null or u.role = $2)
  and ($3::boolean is null or (u.disabled_at is not null) = $3) and ($4::text is null or u.wallet_address = $4)`;

export async function selectAccounts(
  session: Session,
  { limit, offset, sort, order }: PageRequest<AccountSort>,
  { email, role, disabled, wallet }: AccountFilter,
): Promise<{ data: UserAccount[]; total: number }> {
  const filter = [email, role, disabled, wallet];
  const { rows } = await session.query<Row>({
    text: `select ${accountColumns} from users u where ${matching}
            order by u.${sort} ${order} nulls last, u.id limit $5 offset $6`,
    values: [...filter, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from users u where ${matching}`,
    values: filter,
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

export async function selectUser(session: Session, id: string): Promise<UserAccount | null> {
  const { rows } = await session.query<Row>({
    text: `select ${accountColumns} from users u where u.id = $1::uuid`,
    values: [id],
  });
  return rows.map(forPeople)[0] ?? null;
}

export async function selectUserId(session: Session, email: string): Promise<string | null> {
  const { rows } = await session.query<{ id: string }>({
    text: `select id::text from users where email = $1`,
    values: [email],
  });
  return rows[0]?.id ?? null;
}

export interface StoredAccount {
  readonly email: string;
  readonly role: Role;
  readonly wallet_address: string | null;
  readonly password_hash: string | null;
}

/** @returns null: the e-mail is taken */
export async function insertUser(tx: Session, account: StoredAccount): Promise<UserAccount | null> {
  const { email, role, wallet_address, password_hash } = account;
  const { rows } = await tx.query<Row>({
    text: `insert into users as u (email, role, wallet_address, password_hash) values ($1, $2, $3, $4)
           on conflict on constraint users_email_key do nothing
           returning ${accountColumns}`,
    values: [email, role, wallet_address, password_hash],
  });
  return rows.map(forPeople)[0] ?? null;
}

export interface LockedAccounts {
  readonly account: UserAccount | null;
  /** Of the others who can log in and are admins. */
  readonly otherAdmins: number;
}

/**
 * The account and all admins, in one order: of two changes at once the later one sees what the earlier one has left. The
 * demo's admin does not count, nor does who has no password where one is needed.
 */
export async function lockUser(
  tx: Session,
  id: string,
  { passwordNeeded }: { readonly passwordNeeded: boolean },
): Promise<LockedAccounts> {
  const { rows } = await tx.query<Row & { isAdmin: boolean }>({
    text: `select ${accountColumns},
                  u.role = 'admin' and u.disabled_at is null and u.email <> 'demo'
                    and (u.password_hash is not null or not $2::boolean) as "isAdmin"
             from users u where u.id = $1::uuid or (u.role = 'admin' and u.disabled_at is null)
            order by u.id for update`,
    values: [id, passwordNeeded],
  });
  const account = rows.find((row) => row.id === id);
  return {
    account: account === undefined ? null : forPeople(account),
    otherAdmins: rows.filter((row) => row.isAdmin && row.id !== id).length,
  };
}

export interface AccountChange {
  readonly role: Role;
  readonly wallet_address: string | null;
  readonly disabled: boolean;
  /** Null: as it is. */
  readonly password_hash: string | null;
  /** Tokens made until now are void. */
  readonly logOut: boolean;
}

export async function updateUser(
  tx: Session,
  id: string,
  change: AccountChange,
): Promise<UserAccount | null> {
  const { role, wallet_address, disabled, password_hash, logOut } = change;
  const { rows } = await tx.query<Row>({
    text: `update users u
              set role = $2, wallet_address = $3, password_hash = coalesce($5, u.password_hash),
                  disabled_at = case when $4::boolean then coalesce(u.disabled_at, now()) end,
                  tokens_from = case when $6::boolean then clock_timestamp() else u.tokens_from end
            where u.id = $1::uuid returning ${accountColumns}`,
    values: [id, role, wallet_address, disabled, password_hash, logOut],
  });
  return rows.map(forPeople)[0] ?? null;
}

type Row = Omit<UserAccount, 'created_at' | 'last_login_at'> & {
  readonly created_at: Date;
  readonly last_login_at: Date | null;
};

function forPeople({
  id,
  email,
  role,
  wallet_address,
  disabled,
  created_at,
  last_login_at,
}: Row): UserAccount {
  return {
    id,
    email,
    role,
    wallet_address,
    disabled,
    created_at: created_at.toISOString(),
    last_login_at: last_login_at?.toISOString() ?? null,
  };
}

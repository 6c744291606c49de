import type { Session } from '../database/database.js';
import type { Role } from './caller.js';

export interface LoginAccount {
  readonly id: string;
  readonly email: string;
  readonly role: Role;
  readonly password_hash: string | null;
  readonly disabled: boolean;
}

export async function selectLogin(session: Session, email: string): Promise<LoginAccount | null> {
  const { rows } = await session.query<LoginAccount>({
    name: 'login-account',
    text: `select id::text, email, role, password_hash, disabled_at is not null as disabled from users where email = $1`,
    values: [email],
    timeoutMs: 5_000,
  });
  return rows[0] ?? null;
}

/**
 * With the very hash that was compared: a password that was changed meanwhile opens nothing any more.
 * @returns when it was, Unix ms by the database's clock, after every "log out" that was before; null: no longer
 */
export async function updateLogin(
  tx: Session,
  { id, password_hash }: Pick<LoginAccount, 'id' | 'password_hash'>,
): Promise<{ readonly at: number; readonly role: Role } | null> {
  const { rows } = await tx.query<{ at: number; role: Role }>({
    text: `update users set last_login_at = clock_timestamp()
            where id = $1::uuid and password_hash = $2 and disabled_at is null
           returning extract(epoch from last_login_at)::float8 * 1000 as at, role`,
    values: [id, password_hash],
  });
  return rows[0] ?? null;
}

import type { Session } from '../database/database.js';
import type { Role, Scope } from './caller.js';

/** What counts of an account at every call. */
export interface CallingAccount {
  readonly id: string;
  readonly email: string;
  readonly role: Role;
  readonly disabled: boolean;
  /** Unix ms; null: all its tokens count. */
  readonly tokens_from: number | null;
}

/** What counts of a key at every call, with the account that it acts for. */
export interface CallingKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly user_id: string | null;
  /** Of the account; null when it acts for nobody. */
  readonly role: Role | null;
  readonly disabled: boolean;
  readonly revoked: boolean;
  /** Unix ms. */
  readonly expires_at: number | null;
  readonly last_used_at: number | null;
}

const accountFields = `id::text, email, role, disabled_at is not null as disabled,
                  case when isfinite(tokens_from) then extract(epoch from tokens_from)::float8 * 1000 end as tokens_from`;

export async function selectAccount(session: Session, id: string): Promise<CallingAccount | null> {
  const { rows } = await session.query<CallingAccount>({
    name: 'caller-account',
    text: `select ${accountFields} from users where id = $1::uuid`,
    values: [id],
    timeoutMs: 5_000,
  });
  return rows[0] ?? null;
}

export async function selectAccountOfEmail(session: Session, email: string): Promise<CallingAccount | null> {
  const { rows } = await session.query<CallingAccount>({
    name: 'caller-account-of-email',
    text: `select ${accountFields} from users where email = $1`,
    values: [email],
    timeoutMs: 5_000,
  });
  return rows[0] ?? null;
}

/** @param digest SHA-256 as hex */
export async function selectKey(session: Session, digest: string): Promise<CallingKey | null> {
  const { rows } = await session.query<CallingKey>({
    name: 'caller-key',
    text: `select k.id::text, k.name, k.scopes, k.user_id::text, u.role, coalesce(u.disabled_at is not null, false) as disabled,
                  k.revoked_at is not null as revoked,
                  extract(epoch from k.expires_at)::float8 * 1000 as expires_at,
                  extract(epoch from k.last_used_at)::float8 * 1000 as last_used_at
             from api_keys k left join users u on u.id = k.user_id
            where k.key_digest = decode($1, 'hex')`,
    values: [digest],
    timeoutMs: 5_000,
  });
  return rows[0] ?? null;
}

/** To the minute, however many calls and instances. */
export async function updateKeyUse(session: Session, id: string): Promise<void> {
  await session.query({
    name: 'caller-key-used',
    text: `update api_keys set last_used_at = now()
            where id = $1::uuid and (last_used_at is null or last_used_at < now() - interval '1 minute')`,
    values: [id],
    timeoutMs: 5_000,
  });
}

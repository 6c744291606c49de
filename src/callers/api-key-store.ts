import type { Session } from '../database/database.js';
import type { PageRequest } from '../http/page.js';
import type { ApiKey } from './api-key.js';
import type { Scope } from './caller.js';

const keyColumns = `k.id::text, k.name, k.hint, k.scopes, k.user_id::text, k.created_by, k.created_at, k.expires_at,
  k.revoked_at, k.last_used_at`;

/** What the list can be sorted by, the default first. */
export const apiKeySorts = ['created_at', 'name', 'expires_at', 'last_used_at'] as const;
export type ApiKeySort = (typeof apiKeySorts)[number];

/** Which ones; null: any. */
export interface ApiKeyFilter {
  readonly name: string | null;
  readonly scope: string | null;
  readonly user_id: string | null;
  readonly revoked: boolean | null;
}

const matching = `($1::text is null or k.name = $1) and ($2::text is null or k.scopes @> array[$2])
  and ($3::uuid is null or k.user_id = $3) and ($4::boolean is null or (k.revoked_at is not null) = $4)`;

export async function selectApiKeys(
  session: Session,
  { limit, offset, sort, order }: PageRequest<ApiKeySort>,
  { name, scope, user_id, revoked }: ApiKeyFilter,
): Promise<{ data: ApiKey[]; total: number }> {
  const filter = [name, scope, user_id, revoked];
  const { rows } = await session.query<Row>({
    text: `select ${keyColumns} from api_keys k where ${matching}
            order by k.${sort} ${order} nulls last, k.id limit $5 offset $6`,
    values: [...filter, limit, offset],
  });
  const counted = await session.query<{ total: number }>({
    text: `select count(*)::float8 as total from api_keys k where ${matching}`,
    values: filter,
  });
  return { data: rows.map(forPeople), total: counted.rows[0]?.total ?? 0 };
}

export interface StoredApiKey {
  readonly name: string;
  readonly digest: Buffer;
  readonly hint: string;
  readonly scopes: readonly Scope[];
  readonly user_id: string | null;
  readonly created_by: string;
  readonly expires_at: Date | null;
}

/** @returns null: the name is taken; an unknown account is an error of the constraint api_keys_user_id_fkey */
export async function insertApiKey(tx: Session, key: StoredApiKey): Promise<ApiKey | null> {
  const { rows } = await tx.query<Row>({
    text: `insert into api_keys as k (name, key_digest, hint, scopes, user_id, created_by, expires_at)
           values ($1, $2, $3, $4::text[], $5::uuid, $6, $7)
           on conflict on constraint api_keys_name_key do nothing
           returning ${keyColumns}`,
    values: [key.name, key.digest, key.hint, [...key.scopes], key.user_id, key.created_by, key.expires_at],
  });
  return rows.map(forPeople)[0] ?? null;
}

/** @returns null: there is none; `now` false: it was revoked before */
export async function revokeApiKey(tx: Session, id: string): Promise<{ key: ApiKey; now: boolean } | null> {
  const { rows } = await tx.query<Row & { now: boolean }>({
    text: `update api_keys k set revoked_at = coalesce(before.revoked_at, now())
             from (select id, revoked_at from api_keys where id = $1::uuid for update) before
            where k.id = before.id
           returning ${keyColumns}, before.revoked_at is null as now`,
    values: [id],
  });
  const [row] = rows;
  return row === undefined ? null : { key: forPeople(row), now: row.now };
}

type Times = 'created_at' | 'expires_at' | 'revoked_at' | 'last_used_at';
type Row = Omit<ApiKey, Times> & {
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
};

function forPeople(row: Row): ApiKey {
  const { id, name, hint, scopes, user_id, created_by } = row;
  return {
    id,
    name,
    hint,
    scopes,
    user_id,
    created_by,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
    last_used_at: row.last_used_at?.toISOString() ?? null,
  };
}

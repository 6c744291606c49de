import type { Database } from '../database/database.js';
import { audit, type Caller } from '../devices/audit.js';
import { DomainError } from '../errors.js';
import { moment, pageRequest, type ListQuery, type Page } from '../http/page.js';
import { asApiKeyRequest, generateApiKey, type ApiKey, type NewApiKey } from './api-key.js';
import { apiKeySorts, insertApiKey, revokeApiKey, selectApiKeys } from './api-key-store.js';
import { scopes } from './caller.js';
import { invalid } from './checked.js';
import { flag, oneOf, text, uuid } from './filters.js';
import { isUuid } from '../uuid.js';

/** Keys of machines ([H-17]). Every change is in the audit log, in its transaction. */
export interface ApiKeys {
  /** Filters name, scope, user_id, revoked. @throws DomainError SCHEMA_INVALID */
  list(query?: ListQuery): Promise<Page<ApiKey>>;
  /** The key is told this once. @throws DomainError SCHEMA_INVALID, API_KEY_NAME_TAKEN */
  add(body: unknown, caller: Caller): Promise<NewApiKey>;
  /** Within a second it opens nothing, on any instance. Once more changes nothing. @throws DomainError API_KEY_UNKNOWN */
  revoke(id: string, caller: Caller): Promise<ApiKey>;
}

export function createApiKeys(database: Database, now: () => number = Date.now): ApiKeys {
  return {
    async list(query = {}) {
      const request = pageRequest(query, apiKeySorts);
      const filter = {
        name: text(query, 'name'),
        scope: oneOf(query, 'scope', scopes),
        user_id: uuid(query, 'user_id'),
        revoked: flag(query, 'revoked'),
      };
      const found = await selectApiKeys(database, request, filter);
      return { ...found, page: request.page, limit: request.limit };
    },
    async add(body, caller) {
      const { name, scopes: its, user_id = null, expires_at = null } = asApiKeyRequest(body);
      const expires = endOf(expires_at, now());
      const { key, digest, hint } = generateApiKey();
      const stored = {
        name,
        digest,
        hint,
        scopes: its,
        user_id,
        created_by: caller.name,
        expires_at: expires,
      };
      return database.transaction(async (tx) => {
        const added = await insertApiKey(tx, stored).catch(refuseUnknownAccount);
        if (added === null)
          throw new DomainError('API_KEY_NAME_TAKEN', `There is, or was, a key ${name}: take another name.`);
        const details = { name, scopes: its, user_id, expires_at: added.expires_at };
        await audit(tx, caller, { action: 'api_key.added', subject: added.id, details });
        return { ...added, key };
      });
    },
    async revoke(id, caller) {
      const revoked = await database.transaction(async (tx) => {
        const found = isUuid(id) ? await revokeApiKey(tx, id) : null;
        if (found?.now === true) {
          const { name } = found.key;
          await audit(tx, caller, { action: 'api_key.revoked', subject: found.key.id, details: { name } });
        }
        return found;
      });
      if (revoked !== null) return revoked.key;
      throw new DomainError('API_KEY_UNKNOWN', `There is no key ${JSON.stringify(id.slice(0, 64))}.`);
    },
  };
}

function endOf(value: string | number | null, now: number): Date | null {
  if (value === null) return null;
  const wrong: { path: string; message: string }[] = [];
  const time = moment({ expires_at: value }, 'expires_at', wrong);
  if (time !== null && time <= now) wrong.push({ path: '/expires_at', message: 'must be in the future' });
  if (wrong.length > 0) throw invalid('The key', wrong);
  return time === null ? null : new Date(time);
}

function refuseUnknownAccount(error: unknown): never {
  const { constraint } = (error ?? {}) as { constraint?: unknown };
  if (constraint !== 'api_keys_user_id_fkey') throw error;
  throw invalid('The key', [{ path: '/user_id', message: 'names no account' }]);
}

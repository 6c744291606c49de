import { createHash, randomBytes } from 'node:crypto';
import { Type } from 'typebox';
import { scopes, type Scope } from './caller.js';
import { uuidPattern } from '../uuid.js';
import { checker } from './checked.js';

/** A machine's key ([H-17]), as the API shows it: never the key itself. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** How it begins, so that people know which one it is. */
  readonly hint: string;
  readonly scopes: readonly Scope[];
  /** The account whose meters it sees; null: those of everybody. */
  readonly user_id: string | null;
  readonly created_by: string;
  /** RFC 3339. */
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  /** To the minute. */
  readonly last_used_at: string | null;
}

/** With the key, this once. */
export interface NewApiKey extends ApiKey {
  readonly key: string;
}

/** What POST /api/admin/api-keys takes; the API's document shows this very schema. */
export const apiKeyRequest = Type.Object({
  name: Type.String({
    pattern: '^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$',
    description: 'What it is for; the audit log says key:NAME. Never given twice.',
  }),
  scopes: Type.Array(Type.String({ enum: [...scopes] }), {
    minItems: 1,
    uniqueItems: true,
    description: 'What it may be used for.',
  }),
  user_id: Type.Optional({
    ...Type.String({ pattern: uuidPattern }),
    type: ['string', 'null'],
    description: 'It acts for this account; else for the house, as an operator within its scopes.',
  }),
  expires_at: Type.Optional({
    ...Type.Unsafe<string | number | null>({ type: ['string', 'number', 'null'] }),
    description: 'RFC 3339, Unix ms or Unix s; never when absent.',
  }),
});

export interface ApiKeyRequest {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly user_id?: string | null;
  readonly expires_at?: string | number | null;
}

/** @throws DomainError SCHEMA_INVALID */
export const asApiKeyRequest = checker<ApiKeyRequest>('The key', apiKeyRequest, {
  '/name': 'must be 1 to 64 letters, digits, spaces, or . _ -, beginning with a letter or digit',
  '/user_id': 'must be a UUID',
});

/** 256 random bits. */
export function generateApiKey(): { key: string; digest: Buffer; hint: string } {
  const key = `mfk_${randomBytes(32).toString('base64url')}`;
  return { key, digest: createHash('sha256').update(key).digest(), hint: key.slice(0, 8) };
}

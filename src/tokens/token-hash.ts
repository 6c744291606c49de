import { createHmac } from 'node:crypto';
import type { MasterKey } from '../devices/keys/master-key.js';

/** 20 digits are few enough to be guessed from a bare hash: a leak of the table must not be a leak of money. */
export interface TokenHash {
  of(token: string): Buffer;
}

/** @throws DomainError CONFIGURATION without a MASTER_KEY */
export function createTokenHash(master: MasterKey): TokenHash {
  const key = master.derive('token_injections.token_hash');
  return { of: (token) => createHmac('sha256', key).update(token).digest() };
}

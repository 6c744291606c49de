import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import { DomainError } from '../../errors.js';

/** Encrypts secrets at rest; the key itself never is in the database. */
export interface MasterKey {
  /** `place` says where the secret belongs: sealed there, it opens nowhere else. */
  seal(secret: Buffer, place: string): Buffer;
  /** @throws DomainError CONFIGURATION when it was sealed under another key, or for another place */
  open(sealed: Buffer, place: string): Buffer;
  /** A key of its own for another purpose. @throws DomainError CONFIGURATION without a master key */
  derive(purpose: string): KeyObject;
}

/** First byte of what is sealed, for the day when the form changes. */
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

/**
 * AES-256-GCM: version, nonce, ciphertext, tag. Without a key nothing can be sealed or opened, which matters to
 * HMAC secrets only: Ed25519 public keys are no secret.
 * @param hex MASTER_KEY, 64 hex digits; empty: none
 */
export function masterKey(hex: string): MasterKey {
  if (hex !== '' && !/^[0-9A-Fa-f]{64}$/.test(hex))
    throw new DomainError('CONFIGURATION', 'The master key must be 32 random bytes as 64 hex digits.');
  const key = hex === '' ? null : createSecretKey(Buffer.from(hex, 'hex'));
  return {
    seal(secret, place) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', needed(key), nonce).setAAD(Buffer.from(place));
      const text = Buffer.concat([cipher.update(secret), cipher.final()]);
      return Buffer.concat([Buffer.of(version), nonce, text, cipher.getAuthTag()]);
    },
    open(sealed, place) {
      try {
        if (sealed[0] !== version) throw new Error('unknown form');
        const nonce = sealed.subarray(1, 1 + nonceBytes);
        const tag = sealed.subarray(-tagBytes);
        const cipher = createDecipheriv('aes-256-gcm', needed(key), nonce, { authTagLength: tagBytes });
        cipher.setAAD(Buffer.from(place)).setAuthTag(tag);
        const text = cipher.update(sealed.subarray(1 + nonceBytes, -tagBytes));
        return Buffer.concat([text, cipher.final()]);
      } catch (cause) {
        if (cause instanceof DomainError) throw cause;
        throw new DomainError('CONFIGURATION', 'A device secret was encrypted under another MASTER_KEY.', {
          cause,
        });
      }
    },
    derive: (purpose) =>
      createSecretKey(Buffer.from(hkdfSync('sha256', needed(key), Buffer.alloc(0), purpose, 32))),
  };
}

function needed(key: KeyObject | null): KeyObject {
  if (key !== null) return key;
  throw new DomainError('CONFIGURATION', 'Secrets of devices need a master key: set MASTER_KEY.');
}

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** 192 bits as 32 characters of base64url. */
export function generateSecret(): string {
  return randomBytes(24).toString('base64url');
}

/** SHA-256 is enough for a random secret, and 10,000 meters may reconnect at once. Not for people's passwords. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

export function secretMatches(secret: string, hash: Uint8Array): boolean {
  const given = hashSecret(secret);
  return given.length === hash.length && timingSafeEqual(given, hash);
}

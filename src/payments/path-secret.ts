import { createHash, timingSafeEqual } from 'node:crypto';

/** Whether a text is the secret, in a time that tells nothing of it ([P-1]). Without a secret nothing is. */
export function createSecretCheck(secret: string): (said: unknown) => boolean {
  const wanted = digest(secret);
  return (said) => typeof said === 'string' && timingSafeEqual(digest(said), wanted) && secret !== '';
}

/** Of one length, whatever was said. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

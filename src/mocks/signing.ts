import { createSecretKey, generateKeyPairSync, sign } from 'node:crypto';
import { isDomainError } from '../errors.js';
import { hmacSignature } from '../readings/signature.js';

/** The part of src/devices/keys that signing meters need. */
export interface SigningKeys {
  register(input: object, caller: { name: string }): Promise<{ readonly secret?: string }>;
  rotate(meterId: string, input: object, caller: { name: string }): Promise<{ readonly secret?: string }>;
}

const caller = { name: 'virtual-meter' };

/** Of every six meters the fifth signs by HMAC, the sixth by Ed25519. Undefined: this one does not sign. */
export async function signerOf(
  keys: SigningKeys,
  meterId: string,
  number: number,
): Promise<((message: string) => string) | undefined> {
  if (number % 6 === 5) return newSigner(keys, meterId, 'hmac-sha256');
  if (number % 6 === 0) return newSigner(keys, meterId, 'ed25519');
  return undefined;
}

/** Makes the meter a new key, whose private half only this process has. */
export async function newSigner(
  keys: SigningKeys,
  meterId: string,
  algorithm: 'hmac-sha256' | 'ed25519',
): Promise<(message: string) => string> {
  if (algorithm === 'hmac-sha256') {
    const { secret = '' } = await issue(keys, meterId, { algorithm });
    const key = createSecretKey(Buffer.from(secret, 'hex'));
    return (message) => hmacSignature(message, key);
  }
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const public_key = publicKey.export({ type: 'spki', format: 'pem' });
  await issue(keys, meterId, { algorithm, public_key });
  return (message) => sign(null, Buffer.from(message), privateKey).toString('hex');
}

/** A secret is shown once, so this process has a new one at every start; the one before is of no use to anybody. */
async function issue(keys: SigningKeys, meterId: string, wanted: object): Promise<{ secret?: string }> {
  try {
    return await keys.register({ meter_id: meterId, ...wanted }, caller);
  } catch (error) {
    if (!isDomainError(error) || error.code !== 'KEY_EXISTS') throw error;
    return keys.rotate(meterId, { ...wanted, grace_seconds: 0 }, caller);
  }
}

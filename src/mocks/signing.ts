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
  if (number % 6 === 5) {
    const { secret = '' } = await issue(keys, meterId, { algorithm: 'hmac-sha256' });
    const key = createSecretKey(Buffer.from(secret, 'hex'));
    return (message) => hmacSignature(message, key);
  }
  if (number % 6 === 0) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const public_key = publicKey.export({ type: 'spki', format: 'pem' });
    await issue(keys, meterId, { algorithm: 'ed25519', public_key });
    return (message) => sign(null, Buffer.from(message), privateKey).toString('hex');
  }
  return undefined;
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

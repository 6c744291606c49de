import { createPublicKey, type KeyObject } from 'node:crypto';

/** The 32 bytes of an Ed25519 public key, given as 64 hex digits or as PEM; undefined when it is none. */
export function ed25519PublicKey(text: string): Buffer | undefined {
  const trimmed = text.trim();
  const raw = /^[0-9A-Fa-f]{64}$/.test(trimmed) ? Buffer.from(trimmed, 'hex') : fromPem(trimmed);
  return raw === undefined || isWeak(raw) ? undefined : raw;
}

/** @throws when the bytes are no Ed25519 public key */
function asKeyObject(raw: Buffer): KeyObject {
  return createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') },
    format: 'jwk',
  });
}

function fromPem(text: string): Buffer | undefined {
  // A private key would be taken too, and its public half derived: nobody should send that around.
  if (!/^-----BEGIN PUBLIC KEY-----\s/.test(text)) return undefined;
  try {
    const key = createPublicKey({ key: text, format: 'pem' });
    if (key.asymmetricKeyType !== 'ed25519') return undefined;
    const { x } = key.export({ format: 'jwk' });
    return x === undefined ? undefined : Buffer.from(x, 'base64url');
  } catch {
    return undefined;
  }
}

/**
 * The points of small order, written as they are and as they should not be: under such a key a signature can be made
 * for any message without knowing a secret. OpenSSL up to 3.0, which Node 20 brings, takes them.
 */
const smallOrder = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

function isWeak(raw: Buffer): boolean {
  const bare = Buffer.from(raw);
  // The highest bit is the sign of x; both are of small order.
  bare[31] = (bare[31] ?? 0) & 0x7f;
  if (smallOrder.has(bare.toString('hex'))) return true;
  try {
    asKeyObject(raw);
    return false;
  } catch {
    return true;
  }
}

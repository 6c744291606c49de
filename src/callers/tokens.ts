import { createSecretKey, hash } from 'node:crypto';
import { errors, jwtVerify, SignJWT, type JWTPayload, type JWTVerifyOptions } from 'jose';
import { DomainError } from '../errors.js';
import { createKeySet } from './key-set.js';
import { RefusedCall, type RefusalReason } from './refused-call.js';

/** How tokens are made and judged: by a secret of ours, or by the keys that another issuer publishes. */
export interface TokenSettings {
  readonly secret: string | null;
  readonly jwksUrl: string | null;
  readonly issuer: string;
  readonly audience: string;
  readonly ttlSeconds: number;
}

/** What a token says that was signed by whom we trust. Its role counts for nothing: the account's does. */
export interface Claims {
  /** `users.id`, or the provider's name of the person. */
  readonly subject: string | null;
  /** Small letters; null also when the provider says that it has not verified it. */
  readonly email: string | null;
  /** Unix ms, of our own tokens to the millisecond. */
  readonly issued_at: number | null;
  readonly expires_at: number;
}

export interface NewToken {
  readonly user_id: string;
  readonly role: string;
  /** Unix ms, by the clock of the database. */
  readonly issued_at: number;
}

export interface Tokens {
  /** @throws RefusedCall; DomainError LOGIN_PROVIDER_UNAVAILABLE */
  verify(token: string): Promise<Claims>;
  readonly ttlSeconds: number;
  /** Null: another issuer makes them. */
  readonly issue: ((token: NewToken) => Promise<string>) | null;
}

const toleranceSeconds = 30;

/** @throws DomainError CONFIGURATION unless there is one of secret and key set */
export function createTokens(settings: TokenSettings): Tokens {
  const { secret, jwksUrl } = settings;
  if (jwksUrl !== null && secret !== null)
    throw new DomainError('CONFIGURATION', 'JWT_SECRET and JWT_JWKS_URL exclude each other: keep one.');
  if (jwksUrl !== null) return publishedKeys(jwksUrl, settings);
  if (secret !== null) return ownSecret(secret, settings);
  throw new DomainError('CONFIGURATION', 'Tokens need JWT_SECRET or JWT_JWKS_URL.');
}

function ownSecret(secret: string, { issuer, audience, ttlSeconds }: TokenSettings): Tokens {
  const key = createSecretKey(Buffer.from(secret, 'utf8'));
  const how = { issuer, audience, algorithms: ['HS256'], requiredClaims: ['exp', 'iat', 'sub'] };
  const known = knownTokens();
  return {
    ttlSeconds,
    async verify(token) {
      const seen = known.find(token);
      if (seen !== undefined) return seen;
      const claims = await verified(() =>
        jwtVerify(token, key, { ...how, clockTolerance: toleranceSeconds }),
      );
      known.keep(token, claims);
      return claims;
    },
    issue: ({ user_id, role, issued_at }) =>
      new SignJWT({ role })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(user_id)
        // With its fraction: a login in the second of a "log out everywhere" comes before or after it.
        .setIssuedAt(issued_at / 1000)
        .setExpirationTime(Math.floor(issued_at / 1000) + ttlSeconds)
        .sign(key),
  };
}

/**
 * Tokens whose signature was found right, until they expire: neither can change. 2 µs instead of 65 and a way through the
 * threads for each call. Their SHA-256 is kept, not the tokens.
 */
function knownTokens() {
  const claimsByHash = new Map<string, Claims>();
  return {
    find(token: string): Claims | undefined {
      const claims = claimsByHash.get(hashOf(token));
      return claims !== undefined && claims.expires_at > Date.now() ? claims : undefined;
    },
    keep(token: string, claims: Claims): void {
      const [oldest] = claimsByHash.keys();
      if (claimsByHash.size >= knownMax && oldest !== undefined) claimsByHash.delete(oldest);
      claimsByHash.set(hashOf(token), claims);
    },
  };
}

const knownMax = 10_000;

function hashOf(token: string): string {
  return hash('sha256', token, 'base64');
}

/** Never HS256: a public key is no secret. */
const asymmetric = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];

function publishedKeys(url: string, { issuer, audience, ttlSeconds }: TokenSettings): Tokens {
  const keys = createKeySet(url);
  const how: JWTVerifyOptions = { issuer, audience, algorithms: asymmetric, requiredClaims: ['exp'] };
  return {
    ttlSeconds,
    verify: (token) =>
      verified(() =>
        jwtVerify(token, (header, jws) => keys.find(header, jws), {
          ...how,
          clockTolerance: toleranceSeconds,
        }),
      ),
    issue: null,
  };
}

async function verified(verify: () => Promise<{ payload: JWTPayload }>): Promise<Claims> {
  try {
    return claimsOf((await verify()).payload);
  } catch (error) {
    if (error instanceof DomainError || error instanceof RefusedCall) throw error;
    throw new RefusedCall(reasonOf(error));
  }
}

function claimsOf({ sub, email, email_verified, iat, exp }: JWTPayload): Claims {
  if (exp === undefined) throw new RefusedCall('claims');
  return {
    subject: sub ?? null,
    // Some providers write "false".
    email:
      typeof email === 'string' && email_verified !== false && email_verified !== 'false'
        ? email.toLowerCase()
        : null,
    issued_at: iat === undefined ? null : iat * 1000,
    expires_at: exp * 1000,
  };
}

function reasonOf(error: unknown): RefusalReason {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) return error.claim === 'nbf' ? 'early' : 'claims';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature';
  if (error instanceof errors.JOSEAlgNotAllowed) return 'algorithm';
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'signer';
  return 'malformed';
}

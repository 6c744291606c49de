import type { IncomingMessage } from 'node:http';
import { RefusedCall } from './refused-call.js';

/** What somebody shows to say who he is; nothing is judged yet. */
export interface Credentials {
  readonly kind: 'token' | 'key';
  readonly secret: string;
}

/** Tokens of large providers have 2 to 4 KiB. */
const credentialBytesMax = 8_192;

const keyForm = /^mfk_[\w-]{43}$/;
/** Three parts of base64url: whatever is nothing else costs no work. */
const tokenForm = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * A bearer token, or an API key: in X-API-Key, as a bearer token, or as the password of HTTP Basic, since some machines
 * can do nothing else.
 * @param query also `?access_token=`, for browsers, whose WebSockets have no headers
 * @returns null when nothing was sent @throws RefusedCall
 */
export function credentialsOf(
  request: Pick<IncomingMessage, 'headersDistinct' | 'url'>,
  { query = false }: { query?: boolean } = {},
): Credentials | null {
  const shown = [
    ...one(request.headersDistinct['authorization']).map(ofAuthorization),
    ...one(request.headersDistinct['x-api-key']).map(asKey),
    ...(query ? one(ofQuery(request.url ?? '')).map(asEither) : []),
  ];
  const [first = null, ...others] = shown;
  // Which of them counts would be a matter of taste, and of what stands in front of us.
  if (others.some(({ secret }) => secret !== first?.secret)) throw new RefusedCall('several');
  return first;
}

/** Node.js joins or drops repeated headers, and so may a proxy: each its own way. */
function one(values: readonly string[] | undefined): string[] {
  const [value, ...more] = values ?? [];
  if (value === undefined) return [];
  if (more.length > 0 || Buffer.byteLength(value) > credentialBytesMax) throw new RefusedCall('headers');
  return [value];
}

function ofAuthorization(header: string): Credentials {
  const [, scheme = '', rest = ''] = /^(\w+) +([^\s,]+)$/.exec(header.trim()) ?? [];
  if (scheme.toLowerCase() === 'bearer') return asEither(rest);
  if (scheme.toLowerCase() !== 'basic') throw new RefusedCall('scheme');
  const login = Buffer.from(rest, 'base64').toString('utf8');
  return asKey(login.slice(login.indexOf(':') + 1));
}

function asEither(secret: string): Credentials {
  if (secret.startsWith('mfk_')) return asKey(secret);
  if (!tokenForm.test(secret)) throw new RefusedCall('malformed');
  return { kind: 'token', secret };
}

function asKey(secret: string): Credentials {
  if (!keyForm.test(secret)) throw new RefusedCall('malformed');
  return { kind: 'key', secret };
}

function ofQuery(url: string): string[] {
  const at = url.indexOf('?');
  return at < 0 ? [] : new URLSearchParams(url.slice(at)).getAll('access_token');
}

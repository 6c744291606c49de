import {
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWSHeaderParameters,
} from 'jose';
import { DomainError } from '../errors.js';

type LocalKeySet = ReturnType<typeof createLocalJWKSet>;

/** The keys that a provider of logins publishes. */
export interface KeySet {
  /** The key of a token's header. @throws DomainError LOGIN_PROVIDER_UNAVAILABLE, JWKSNoMatchingKey */
  find(header: JWSHeaderParameters, token: FlattenedJWSInput): ReturnType<LocalKeySet>;
}

export interface KeySetOptions {
  readonly deadlineMs?: number;
  /** Between two looks, for a key that is not known, and after a look that failed. */
  readonly pauseMs?: number;
  /** Then it is looked at again, while the known ones still count: keys are also taken back. */
  readonly freshMs?: number;
  /** Then they do no longer count. A provider may be away for so long. */
  readonly keptMs?: number;
  readonly now?: () => number;
}

const bytesMax = 262_144;

/** Fetched when it is first needed, one look at a time. */
export function createKeySet(url: string, options: KeySetOptions = {}): KeySet {
  const { deadlineMs = 5_000, pauseMs = 30_000, freshMs = 300_000, keptMs = 3_600_000 } = options;
  const now = options.now ?? (() => performance.now());
  let known: { readonly keys: LocalKeySet; readonly at: number } | null = null;
  let looking: Promise<LocalKeySet> | null = null;
  let askedAt = -Infinity;

  /** Never rejects by itself for those who have keys to go on with: see `find`. */
  function look(): Promise<LocalKeySet> {
    looking ??= fetchKeys(url, deadlineMs)
      .then((keys) => {
        known = { keys, at: now() };
        return keys;
      })
      .finally(() => {
        looking = null;
      });
    askedAt = now();
    return looking;
  }

  const mayAsk = (pause: number): boolean => looking !== null || now() - askedAt >= pause;

  return {
    async find(header, token) {
      const usable = known !== null && now() - known.at < keptMs ? known : null;
      if (usable === null) {
        // Nobody comes in without keys: asked sooner than for a key that is not known.
        if (!mayAsk(Math.min(pauseMs, 1_000))) throw away(new Error('it did not answer a moment ago'));
        return (await look())(header, token);
      }
      // In the background; a failure leaves the known ones.
      if (now() - usable.at >= freshMs && mayAsk(pauseMs)) look().catch(() => {});
      try {
        return await usable.keys(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey) || !mayAsk(pauseMs)) throw error;
        return (await look())(header, token);
      }
    },
  };
}

async function fetchKeys(url: string, deadlineMs: number): Promise<LocalKeySet> {
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json, application/jwk-set+json' },
      redirect: 'error',
      signal: AbortSignal.timeout(deadlineMs),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`it answered ${response.status}`);
    }
    return createLocalJWKSet(JSON.parse(await textOf(response)) as JSONWebKeySet);
  } catch (error) {
    throw away(error);
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop ends the download.
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > bytesMax) throw new Error(`its answer is larger than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function away(cause: unknown): DomainError {
  return new DomainError(
    'LOGIN_PROVIDER_UNAVAILABLE',
    'The provider of logins does not answer: its keys are not known.',
    { cause },
  );
}

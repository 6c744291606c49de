import { askProvider, refusalOf, unavailable } from './provider-http.js';
import { textOf } from './provider-values.js';

export interface AccessTokens {
  /** A token that is good for a while yet; asked for once, however many want it at once. */
  current(signal: AbortSignal): Promise<string>;
  /** The provider does not take this one any more. */
  forget(token: string): void;
}

export interface TokenSource {
  readonly url: string;
  readonly consumerKey: string;
  readonly consumerSecret: string;
  readonly timeoutMs: number;
}

/** Asked for again so long before its end, so that none expires on its way. */
const marginMs = 60_000;

/** OAuth client credentials: `GET /oauth/v1/generate`, an hour each as a rule. */
export function createAccessTokens(source: TokenSource, now: () => number = Date.now): AccessTokens {
  let known: { readonly token: string; readonly until: number } | undefined;
  let asking: Promise<string> | undefined;

  async function ask(): Promise<string> {
    const { url, consumerKey, consumerSecret, timeoutMs } = source;
    const login = Buffer.from(`${consumerKey}:${consumerSecret}`).toString('base64');
    const said = await askProvider(`${url}/oauth/v1/generate?grant_type=client_credentials`, {
      method: 'GET',
      authorization: `Basic ${login}`,
      // Others wait for it, too: who leaves does not take it along.
      signal: new AbortController().signal,
      timeoutMs,
    });
    const token = textOf(said.body['access_token'], 4_000);
    if (said.status !== 200 || token === null) throw unavailable(`refused our login (${refusalOf(said)})`);
    const lifeMs = 1000 * (Number(said.body['expires_in']) || 0);
    known = { token, until: now() + Math.max(lifeMs - marginMs, lifeMs / 2) };
    return token;
  }

  return {
    async current(signal) {
      if (known !== undefined && known.until > now()) return known.token;
      asking ??= ask().finally(() => {
        asking = undefined;
      });
      const token = await asking;
      signal.throwIfAborted();
      return token;
    },
    forget(token) {
      if (known?.token === token) known = undefined;
    },
  };
}

import { checkToken } from '../tokens/sts.js';
import { drawn } from './seeded.js';

/** What a meter makes of a token; units in ten-thousandths. */
export type TokenVerdict =
  | { readonly status: 'success'; readonly units: number; readonly message: string }
  | { readonly status: TokenRefusal; readonly units: 0; readonly message: string };

export type TokenRefusal = 'used' | 'wrong_meter' | 'expired' | 'failed';

/** How a meter answers: at once and once is `answers: 1, delayed: false`. Silent (0), it has not taken the token either. */
export interface TokenConduct {
  readonly refuses: TokenRefusal | null;
  readonly answers: 0 | 1 | 2;
  readonly delayed: boolean;
}

/** What happens by chance to tokens, each from 0 (never) to 1 (always). */
export interface TokenRates {
  readonly refused: number;
  readonly silent: number;
  readonly late: number;
  readonly twice: number;
}

export const usualTokenRates: TokenRates = { refused: 0, silent: 0, late: 0, twice: 0 };

/** A real meter remembers the last 50 or so; older ones it refuses by their date. */
const rememberedMax = 50;
/** In whole steps of 0.1 kWh, as tokens have them. With this modulus the original's example has its 2.0. */
const stepsMost = 713n;
const unitsPerStep = 1_000;

const refusals: readonly TokenRefusal[] = ['used', 'wrong_meter', 'expired', 'failed'];

/** What their displays say. */
const words: Readonly<Record<TokenRefusal, string>> = {
  used: 'USED',
  wrong_meter: 'REJECT: not for this meter',
  expired: 'OLD',
  failed: 'REJECT',
};

/** Tokens that end so always fare so, whoever plays: what a person can try without any setting. */
const endings: Readonly<Record<string, Partial<TokenConduct>>> = {
  '0001': { refuses: 'used' },
  '0002': { refuses: 'wrong_meter' },
  '0003': { refuses: 'expired' },
  '0004': { refuses: 'failed' },
  '0005': { answers: 0 },
  '0006': { delayed: true },
  '0007': { answers: 2 },
};

/** The same for the same seed, meter and token. */
export function tokenConductOf(
  seed: number,
  meterId: string,
  token: string,
  rates: TokenRates,
): TokenConduct {
  const usual: TokenConduct = { refuses: null, answers: 1, delayed: false };
  const fixed = endings[token.slice(-4)];
  if (fixed !== undefined) return { ...usual, ...fixed };
  const draw = (what: string): number => drawn(seed, meterId, `${what} ${token}`);
  const any = refusals[Math.floor(draw('why') * refusals.length)] ?? 'failed';
  return {
    refuses: draw('refuses') < rates.refused ? any : null,
    answers: draw('silent') < rates.silent ? 0 : draw('twice') < rates.twice ? 2 : 1,
    delayed: draw('late') < rates.late,
  };
}

/** What a simulated token is worth: nobody can read a real one without its key. 0.1 to 71.3 kWh, in ten-thousandths. */
export function unitsOfToken(token: string): number {
  return (Number(BigInt(token) % stepsMost) + 1) * unitsPerStep;
}

/** The token part of a meter's firmware, without a network: it takes each token once. */
export interface TokenSlot {
  take(token: string, conduct: TokenConduct): TokenVerdict;
}

export function createTokenSlot(): TokenSlot {
  const taken = new Set<string>();
  return {
    take(token, { refuses }) {
      const judged = checkToken(token);
      if (judged.outcome === 'flawed')
        return { status: 'failed', units: 0, message: `REJECT: ${judged.message}` };
      const status = taken.has(token) ? 'used' : refuses;
      if (status !== null) return { status, units: 0, message: words[status] };
      taken.add(token);
      const [oldest] = taken;
      if (taken.size > rememberedMax && oldest !== undefined) taken.delete(oldest);
      return { status: 'success', units: unitsOfToken(token), message: 'ACCEPT' };
    },
  };
}

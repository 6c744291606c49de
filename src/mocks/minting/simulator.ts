import { createHash } from 'node:crypto';
import { drawn } from '../seeded.js';
import { base58 } from './base58.js';

/**
 * What happens to a request. `mint`: at once. `pend`: 202 first, minted a while later. `refuse`: 422. `lose`: minted, but
 * the connection breaks before the answer. `busy`: 503 the first time.
 */
const mintActs = ['mint', 'refuse', 'lose', 'pend', 'busy'] as const;
export type MintAct = (typeof mintActs)[number];

/** By chance, each from 0 (never) to 1 (always); what is left is minted. */
export type MintRates = Readonly<Record<Exclude<MintAct, 'mint'>, number>>;

export interface SimulatorSettings {
  readonly seed: number;
  readonly rates: MintRates;
  /** How long a pending one pends. */
  readonly pendMs: number;
}

export interface MintSaid {
  readonly act: MintAct;
  readonly status: number;
  readonly body: object;
  /** The connection breaks instead of the answer. */
  readonly isLost: boolean;
}

/** A mint, as it would stand on a chain. */
export interface SimulatedMint {
  readonly idempotency_key: string;
  readonly wallet_address: string;
  readonly kwh_amount: number;
  readonly tx_signature: string;
}

interface Kept {
  readonly digest: string;
  readonly mint: SimulatedMint;
  readonly mintedAt: number;
}

const keptMax = 100_000;

/**
 * A minting service that keeps to docs/minting.md: one mint per idempotency key. The signature is made of the key and
 * what it stands for, so that it is the same one also for a simulator that was started anew.
 */
export function createMintingSimulator(
  { seed, rates, pendMs }: SimulatorSettings,
  onMint: (mint: SimulatedMint) => void = () => undefined,
  now: () => number = Date.now,
) {
  const kept = new Map<string, Kept>();
  const busy = new Set<string>();

  function stateOf(one: Kept, act: MintAct): MintSaid {
    if (one.mintedAt > now()) return { act, status: 202, body: { status: 'pending' }, isLost: false };
    const { idempotency_key, tx_signature } = one.mint;
    return {
      act,
      status: 200,
      body: { status: 'minted', idempotency_key, tx_signature },
      isLost: false,
    };
  }

  return {
    /** `POST /` */
    mint(key: unknown, order: unknown): MintSaid {
      const wanted = readOrder(key, order);
      if (wanted === undefined)
        return refused(400, 'An Idempotency-Key, a wallet_address and a kwh_amount above 0 are needed.');
      const digest = createHash('sha512')
        .update(JSON.stringify([wanted.idempotency_key, wanted.wallet_address, wanted.kwh_amount]))
        .digest();
      const known = kept.get(wanted.idempotency_key);
      if (known !== undefined)
        return known.digest === digest.toString('hex')
          ? stateOf(known, 'mint')
          : refused(422, 'This Idempotency-Key came with something else before.');
      const act = actOf(wanted, seed, rates);
      if (act === 'refuse') return refused(422, 'Refused by the simulated minting service.');
      if (act === 'busy' && !busy.has(wanted.idempotency_key)) {
        remember(busy, wanted.idempotency_key);
        return { act, status: 503, body: { reason: 'Busy, as simulated.' }, isLost: false };
      }
      busy.delete(wanted.idempotency_key);
      const mint = { ...wanted, tx_signature: base58(digest) };
      const one = { digest: digest.toString('hex'), mint, mintedAt: act === 'pend' ? now() + pendMs : 0 };
      forgetOldest(kept);
      kept.set(wanted.idempotency_key, one);
      onMint(mint);
      return { ...stateOf(one, act), isLost: act === 'lose' };
    },
    /** `GET /{key}` */
    ask(key: string): MintSaid {
      const known = kept.get(key);
      return known === undefined ? refused(404, 'There is nothing under this key.') : stateOf(known, 'mint');
    },
  };
}

export type MintingSimulator = ReturnType<typeof createMintingSimulator>;

/** A wallet whose address ends with `-refuse`, `-lose`, `-pend` or `-busy` always fares so. */
function actOf({ wallet_address, idempotency_key }: Wanted, seed: number, rates: MintRates): MintAct {
  const ending = mintActs.find((act) => wallet_address.endsWith(`-${act}`));
  if (ending !== undefined) return ending;
  let draw = drawn(seed, idempotency_key, 'mint');
  for (const act of ['refuse', 'lose', 'pend', 'busy'] as const) {
    if (draw < rates[act]) return act;
    draw -= rates[act];
  }
  return 'mint';
}

type Wanted = Omit<SimulatedMint, 'tx_signature'>;

function readOrder(key: unknown, order: unknown): Wanted | undefined {
  const { wallet_address, kwh_amount } = (order ?? {}) as { wallet_address?: unknown; kwh_amount?: unknown };
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(key)) return undefined;
  if (typeof wallet_address !== 'string' || wallet_address === '' || wallet_address.length > 200)
    return undefined;
  if (typeof kwh_amount !== 'number' || !(kwh_amount > 0)) return undefined;
  return { idempotency_key: key, wallet_address, kwh_amount };
}

function refused(status: number, reason: string): MintSaid {
  return { act: 'refuse', status, body: { status: 'refused', reason }, isLost: false };
}

function forgetOldest(map: Map<string, Kept>): void {
  const [oldest] = map.keys();
  if (map.size >= keptMax && oldest !== undefined) map.delete(oldest);
}

function remember(set: Set<string>, key: string): void {
  if (set.size >= keptMax) set.clear();
  set.add(key);
}

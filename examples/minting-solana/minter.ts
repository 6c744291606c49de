import { address, isAddress, isOffCurveAddress, type KeyPairSigner } from '@solana/kit';
import type { Chain, Landed } from './chain.js';
import { ensureToken, isRecorded, memoOf, mintInstructions, recordOf, type MintOrder } from './kwh-token.js';

/** Status and body of docs/minting.md. */
export interface Said {
  readonly status: number;
  readonly body: object;
}

export interface Minter {
  /** `POST`: the header Idempotency-Key and the parsed body. */
  mint(key: string | undefined, body: unknown): Promise<Said>;
  /** `GET` */
  ask(key: string): Promise<Said>;
}

/**
 * The contract of docs/minting.md, with the chain as the only memory: what a key was minted for, and by which
 * transaction, is looked up there. So a service that was started anew, or a second one beside it, says the same.
 * @param settleMs for how long a transaction of an earlier process may still land: the life of a blockhash, on a real
 *   cluster some 90 s. Until then nobody can say of a key that it will not be minted.
 */
export async function createMinter(
  chain: Chain,
  authority: KeyPairSigner,
  { settleMs = 0, now = Date.now }: { readonly settleMs?: number; readonly now?: () => number } = {},
): Promise<Minter> {
  const token = await ensureToken(chain, authority);
  const startedAt = now();
  const underWay = new Set<string>();

  /** The transaction that minted a key. Others may name the record, too; only the authority can have made it. */
  async function find(key: string): Promise<Landed | undefined> {
    const record = await recordOf(authority.address, key);
    if (!(await isRecorded(chain, record))) return undefined;
    const named = await chain.transactionsOf(record);
    return named.find(({ feePayer, memo }) => feePayer === authority.address && memo?.startsWith(`${key} `));
  }

  async function land(order: MintOrder): Promise<Said> {
    const sent = await chain.send(authority, await mintInstructions(chain, authority, token, order));
    if ('landed' in sent) return minted(201, sent.landed);
    // Most likely its record exists: the same key came a moment earlier, or to another process.
    const landed = await find(order.key);
    if (landed !== undefined) return repeated(order, landed);
    // Nothing landed: no SOL for the fee, the cluster is away. No word about the reading.
    return { status: 503, body: { reason: sent.failed.slice(0, 300) } };
  }

  return {
    async mint(key, body) {
      const order = readOrder(key, body);
      if ('reason' in order) return { status: 422, body: { status: 'refused', ...order } };
      const landed = await find(order.key);
      if (landed !== undefined) return repeated(order, landed);
      if (underWay.has(order.key)) return { status: 202, body: { status: 'pending' } };
      underWay.add(order.key);
      try {
        return await land(order);
      } finally {
        underWay.delete(order.key);
      }
    },
    async ask(key) {
      // Before the chain is asked: what lands in between is pending, not unknown.
      const mayLand = underWay.has(key) || now() < startedAt + settleMs;
      const landed = await find(key);
      if (landed !== undefined) return minted(200, landed);
      return mayLand
        ? { status: 202, body: { status: 'pending' } }
        : { status: 404, body: { reason: 'There is nothing under this key.' } };
    },
  };
}

function minted(status: number, { signature }: Landed): Said {
  return { status, body: { status: 'minted', tx_signature: signature } };
}

function repeated(order: MintOrder, landed: Landed): Said {
  if (landed.memo === memoOf(order)) return minted(200, landed);
  return {
    status: 422,
    body: { status: 'refused', reason: 'This Idempotency-Key was minted for another wallet or amount.' },
  };
}

/** What is wrong here stays wrong: refused for good. */
function readOrder(key: string | undefined, body: unknown): MintOrder | { readonly reason: string } {
  const { wallet_address: wallet, kwh_amount: kwh } = (body ?? {}) as Record<string, unknown>;
  if (key === undefined || !/^[\x21-\x7e]{1,200}$/.test(key))
    return { reason: 'The header Idempotency-Key is missing.' };
  if (typeof wallet !== 'string' || !isAddress(wallet))
    return { reason: 'wallet_address is not an address of Solana.' };
  if (isOffCurveAddress(address(wallet)))
    return { reason: 'wallet_address belongs to a program: nobody has a key to it.' };
  const units = typeof kwh === 'number' ? Math.round(kwh * 10_000) : NaN;
  if (!Number.isSafeInteger(units) || units <= 0 || units / 10_000 !== kwh)
    return { reason: 'kwh_amount has to be above 0, with at most 4 decimals.' };
  return { key, wallet: address(wallet), units: BigInt(units) };
}

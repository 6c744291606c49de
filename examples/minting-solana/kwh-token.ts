import { createHash } from 'node:crypto';
import {
  getAllocateWithSeedInstruction,
  getCreateAccountWithSeedInstruction,
  getTransferSolInstruction,
} from '@solana-program/system';
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  getInitializeMint2Instruction,
  getMintToCheckedInstruction,
  getMintSize,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import { createAddressWithSeed, type Address, type Instruction, type KeyPairSigner } from '@solana/kit';
import { memoProgram, type Chain } from './chain.js';

/** As of a reading: 1 token is 1 kWh. */
export const decimals = 4;

/** What one idempotency key stands for. */
export interface MintOrder {
  readonly key: string;
  readonly wallet: Address;
  /** Ten-thousandths of a kWh. */
  readonly units: bigint;
}

/** The token: its address follows from the authority's, so that a service that was started anew finds it again. */
export async function ensureToken(chain: Chain, authority: KeyPairSigner): Promise<Address> {
  const place = { baseAddress: authority.address, seed: 'kwh', programAddress: TOKEN_PROGRAM_ADDRESS };
  const token = await createAddressWithSeed(place);
  if ((await chain.account(token)) !== null) return token;
  const sent = await chain.send(authority, [
    getCreateAccountWithSeedInstruction({
      payer: authority,
      newAccount: token,
      base: authority.address,
      seed: place.seed,
      amount: chain.rentOf(getMintSize()),
      space: getMintSize(),
      programAddress: TOKEN_PROGRAM_ADDRESS,
    }),
    getInitializeMint2Instruction({
      mint: token,
      decimals,
      mintAuthority: authority.address,
      freezeAuthority: null,
    }),
  ]);
  // Two services at once: the other one made it.
  if ('failed' in sent && (await chain.account(token)) === null) throw new Error(sent.failed);
  return token;
}

/**
 * The record of a key: an empty account whose address follows from the key, and which nobody can take away again. That
 * it exists says that the key was minted.
 */
export async function recordOf(authority: Address, key: string): Promise<Address> {
  return createAddressWithSeed({ baseAddress: authority, seed: seedOf(key), programAddress: memoProgram });
}

export async function isRecorded(chain: Chain, record: Address): Promise<boolean> {
  // Anybody may send it a coin; only the authority can hand it to a program.
  return (await chain.account(record))?.owner === memoProgram;
}

/**
 * One transaction: the record, then the mint. The chain does both or neither, and allocating the same account twice
 * fails: this, and nothing that the service remembers, is why a key is minted once.
 */
export async function mintInstructions(
  chain: Chain,
  authority: KeyPairSigner,
  token: Address,
  order: MintOrder,
): Promise<Instruction[]> {
  const record = await recordOf(authority.address, order.key);
  const [balance] = await findAssociatedTokenPda({
    owner: order.wallet,
    mint: token,
    tokenProgram: TOKEN_PROGRAM_ADDRESS,
  });
  return [
    // Not CreateAccount: that fails for ever once somebody has sent the address a coin.
    getTransferSolInstruction({ source: authority, destination: record, amount: chain.rentOf(0) }),
    getAllocateWithSeedInstruction({
      newAccount: record,
      baseAccount: authority,
      base: authority.address,
      seed: seedOf(order.key),
      space: 0,
      programAddress: memoProgram,
    }),
    getCreateAssociatedTokenIdempotentInstruction({
      payer: authority,
      ata: balance,
      owner: order.wallet,
      mint: token,
    }),
    getMintToCheckedInstruction({ mint: token, token: balance, mintAuthority: authority, amount: order.units, decimals }),
    { programAddress: memoProgram, data: new TextEncoder().encode(memoOf(order)) },
  ];
}

/** Explorers show it, and the service knows by it what a key was minted for. */
export function memoOf({ key, wallet, units }: MintOrder): string {
  return `${key} ${wallet} ${units}`;
}

/** A seed has at most 32 bytes. */
function seedOf(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}

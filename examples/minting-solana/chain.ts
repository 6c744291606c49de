import {
  address,
  appendTransactionMessageInstructions,
  createTransactionMessage,
  getSignatureFromTransaction,
  lamports,
  pipe,
  setTransactionMessageFeePayerSigner,
  signTransactionMessageWithSigners,
  type Address,
  type Instruction,
  type KeyPairSigner,
} from '@solana/kit';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';

export const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr');

/** A transaction that is on the chain for good. */
export interface Landed {
  readonly signature: string;
  /** Who paid for it, and so signed it. */
  readonly feePayer: Address;
  readonly memo: string | null;
}

export type Sent = { readonly landed: Landed } | { readonly failed: string };

/** The three things that the service wants of a chain; over JSON-RPC they are the methods named here. */
export interface Chain {
  /** `sendTransaction` and its confirmation: all instructions or none. */
  send(payer: KeyPairSigner, instructions: readonly Instruction[]): Promise<Sent>;
  /** `getSignaturesForAddress`: what landed and names this account, oldest first. */
  transactionsOf(account: Address): Promise<readonly Landed[]>;
  /** `getAccountInfo`; null: there is none. */
  account(of: Address): Promise<{ readonly owner: Address; readonly data: Uint8Array } | null>;
  /** `getMinimumBalanceForRentExemption`. */
  rentOf(bytes: number): bigint;
}

/**
 * Solana's own virtual machine with its system, token and memo programs, in this process and in memory: no validator, no
 * network, no block time, and it ends with the process. A transaction lands or fails at once.
 */
export function createLocalChain(): Chain & { fund(of: Address, sol: number): void } {
  const svm = new LiteSVM();
  // LiteSVM knows transactions by their signatures only; this is the index that an RPC node has.
  const named = new Map<Address, Landed[]>();

  // One transaction to a block: two at once would take each other's blockhash away.
  let last: Promise<unknown> = Promise.resolve();

  async function sendNext(payer: KeyPairSigner, instructions: readonly Instruction[]): Promise<Sent> {
    const message = pipe(
      createTransactionMessage({ version: 0 }),
      (empty) => setTransactionMessageFeePayerSigner(payer, empty),
      (paid) => svm.setTransactionMessageLifetimeUsingLatestBlockhash(paid),
      (living) => appendTransactionMessageInstructions(instructions, living),
    );
    const transaction = await signTransactionMessageWithSigners(message);
    const result = svm.sendTransaction(transaction);
    svm.expireBlockhash();
    if (result instanceof FailedTransactionMetadata) return { failed: reasonOf(result) };
    const landed: Landed = {
      signature: getSignatureFromTransaction(transaction),
      feePayer: payer.address,
      memo: memoOf(instructions),
    };
    const accounts = instructions.flatMap(({ accounts: metas = [] }) => metas.map((meta) => meta.address));
    for (const account of new Set(accounts)) named.set(account, [...(named.get(account) ?? []), landed]);
    return { landed };
  }

  return {
    fund: (of, sol) => void svm.airdrop(of, lamports(BigInt(Math.round(sol * 1e9)))),
    send(payer, instructions) {
      const sent = last.then(() => sendNext(payer, instructions));
      last = sent.catch(() => undefined);
      return sent;
    },
    transactionsOf: async (account) => named.get(account) ?? [],
    async account(of) {
      const found = svm.getAccount(of);
      return found.exists ? { owner: found.programAddress, data: found.data } : null;
    },
    rentOf: (bytes) => svm.minimumBalanceForRentExemption(BigInt(bytes)),
  };
}

/** As an RPC node tells it beside the signature. */
function memoOf(instructions: readonly Instruction[]): string | null {
  const data = instructions.find(({ programAddress }) => programAddress === memoProgram)?.data;
  return data === undefined ? null : new TextDecoder().decode(new Uint8Array(data));
}

/** `InstructionError(1, Custom(0))`: the number of the instruction, and what its program says. */
function reasonOf(failed: FailedTransactionMetadata): string {
  return /err: (.*?), meta: /s.exec(failed.toString())?.[1] ?? failed.toString();
}

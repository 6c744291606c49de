import { randomInt } from 'node:crypto';

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const length = 10;

/** Receipts as the provider writes them: ten capital letters and digits, each once. */
export function createReceipts(seed: number): { next(): string } {
  // A simulator that is started again must not hand out what an earlier one did.
  let next = BigInt(Date.now() - epochMs) * 10_000n + BigInt(randomInt(10)) * 1_000n + BigInt(seed % 1_000);
  return {
    next() {
      next += 7n;
      let text = '';
      for (let rest = next, at = 0; at < length; at++, rest /= 36n)
        text = (digits[Number(rest % 36n)] ?? '') + text;
      return text;
    },
  };
}

/** 2026-01-01: leaves 36^10 / 1e4 ms, eleven years, before the receipts begin anew. */
const epochMs = 1_767_225_600_000;

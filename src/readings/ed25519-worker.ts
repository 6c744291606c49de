import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { SignatureSlice } from './ed25519-pool.js';

// The thread's whole life: verify a slice, answer it. About 70 µs a signature, of which the event loop feels nothing.

/** By hex. Making a key object costs a third of a verification. */
const keys = new Map<string, KeyObject>();
const keysMax = 10_000;

parentPort?.on('message', ({ id, jobs }: SignatureSlice) => {
  const right = new Uint8Array(jobs.length);
  jobs.forEach(({ publicKey, message, signature }, index) => {
    right[index] = isRight(publicKey, message, signature) ? 1 : 0;
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
  parentPort?.postMessage({ id, right });
});

function isRight(publicKey: string, message: string, signature: string): boolean {
  try {
    const bytes = Buffer.from(signature, 'hex');
    return bytes.length === 64 && verify(null, Buffer.from(message), keyOf(publicKey), bytes);
  } catch {
    return false;
  }
}

function keyOf(hex: string): KeyObject {
  const kept = keys.get(hex);
  if (kept !== undefined) return kept;
  const x = Buffer.from(hex, 'hex').toString('base64url');
  const made = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  if (keys.size >= keysMax) keys.clear();
  keys.set(hex, made);
  return made;
}

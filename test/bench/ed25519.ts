import { generateKeyPairSync, sign } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createEd25519Pool, type SignatureJob } from '../../src/readings/ed25519-pool.js';
import { canonicalString } from '../../src/readings/signature.js';
import { meterIdOf } from './load/reading-plan.js';

export interface Ed25519Speed {
  readonly perSecond: number;
  readonly threads: number;
  /** The longest that the event loop stood still meanwhile. */
  readonly stallMs: number;
}

const keysCount = 100;
/** As many as one call of the validator brings. */
const batch = 1_000;

/** Verifies through the product's own threads, all of them busy. */
export async function measureEd25519(seconds: number): Promise<Ed25519Speed> {
  const jobs = signedJobs();
  const pool = createEd25519Pool();
  const { signal } = new AbortController();
  const threads = Math.max(1, Math.min(4, availableParallelism() - 1));
  const loop = monitorEventLoopDelay({ resolution: 5 });
  try {
    for (let thread = 0; thread < threads; thread += 1) await pool.verify(jobs, { signal });
    loop.enable();
    let verified = 0;
    const started = performance.now();
    while (performance.now() - started < seconds * 1_000) {
      const answers = await Promise.all(Array.from({ length: threads }, () => pool.verify(jobs, { signal })));
      if (!answers.flat().every(Boolean)) throw new Error('A right Ed25519 signature was refused.');
      verified += threads * batch;
    }
    const perSecond = verified / ((performance.now() - started) / 1_000);
    return { perSecond, threads, stallMs: loop.max / 1e6 };
  } finally {
    loop.disable();
    await pool.close();
  }
}

function signedJobs(): SignatureJob[] {
  const keys = Array.from({ length: keysCount }, () => generateKeyPairSync('ed25519'));
  return keys.flatMap(({ privateKey, publicKey }, meter) => {
    const { x = '' } = publicKey.export({ format: 'jwk' });
    const hex = Buffer.from(x, 'base64url').toString('hex');
    return Array.from({ length: batch / keysCount }, (_, k) => {
      const message = canonicalString(meterIdOf(meter), 10_000 + k, 1_700_000_000_000);
      const signature = sign(null, Buffer.from(message), privateKey).toString('hex');
      return { publicKey: hex, message, signature };
    });
  });
}

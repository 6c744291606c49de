import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { createEd25519Pool, type Ed25519Pool, type SignatureJob } from '../../src/readings/ed25519-pool.js';
import { undisturbed } from '../support/undisturbed.js';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const hex = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex');

function job(text: string, right = true): SignatureJob {
  const signature = sign(null, Buffer.from(right ? text : `not ${text}`), privateKey).toString('hex');
  return { publicKey: hex, message: text, signature };
}

describe('the threads that verify Ed25519', () => {
  const wait = { signal: new AbortController().signal };
  let pool: Ed25519Pool;
  afterEach(() => pool.close());

  it('answer each signature in its place', async () => {
    pool = createEd25519Pool({ threads: 2 });
    const jobs = Array.from({ length: 300 }, (_, at) => job(String(at), at % 3 !== 0));
    const [all, none, one] = await Promise.all([
      pool.verify(jobs, wait),
      pool.verify([], wait),
      pool.verify([job('x', false)], wait),
    ]);
    assert.deepEqual(
      all,
      jobs.map((_, at) => at % 3 !== 0),
    );
    assert.deepEqual([none, one, pool.waiting], [[], [false], 0]);
  });

  it('find rubbish wrong and live on', async () => {
    pool = createEd25519Pool({ threads: 1 });
    const good = job('a');
    const rubbish = [
      { ...good, publicKey: '' },
      { ...good, publicKey: 'ab'.repeat(31) },
      { ...good, signature: 'zz' },
      { ...good, signature: `${good.signature}00` },
    ];
    assert.deepEqual(await pool.verify([...rubbish, good], wait), [false, false, false, false, true]);
  });

  it('leave the event loop alone', async () => {
    pool = createEd25519Pool({ threads: 1 });
    await pool.verify([job('a')], wait);
    const jobs = Array.from({ length: 3000 }, () => job('a'));
    const blockedMs = await undisturbed(
      async () => {
        let longest = 0;
        let last = performance.now();
        const timer = setInterval(() => {
          longest = Math.max(longest, performance.now() - last);
          last = performance.now();
        }, 1);
        await pool.verify(jobs, wait);
        clearInterval(timer);
        return Math.max(longest, performance.now() - last);
      },
      (longest) => longest < 100,
    );
    // 3,000 signatures take some 200 ms.
    assert.ok(blockedMs < 100, `${blockedMs} ms`);
  });

  it('take no more than they can hold, and say so', async () => {
    pool = createEd25519Pool({ threads: 1, waitingMax: 100 });
    const many = Array.from({ length: 200 }, () => job('a'));
    const first = pool.verify(many, wait);
    await assert.rejects(pool.verify([job('b')], wait), { code: 'VERIFIER_BUSY' });
    assert.equal((await first).length, 200);
    assert.deepEqual(await pool.verify([job('b')], wait), [true]);
  });

  it('keep a deadline, and let go when nobody waits any more', async () => {
    pool = createEd25519Pool({ threads: 1, deadlineMs: 1 });
    const many = Array.from({ length: 500 }, () => job('a'));
    await assert.rejects(pool.verify(many, wait), { code: 'VERIFIER_BUSY' });
    await pool.close();
    pool = createEd25519Pool({ threads: 1 });
    const leaving = new AbortController();
    const left = pool.verify(many, { signal: leaving.signal });
    leaving.abort(new Error('gone'));
    await assert.rejects(left, /gone/);
    assert.deepEqual(await pool.verify([job('b')], wait), [true]);
  });

  it('refuse what comes after the close', async () => {
    pool = createEd25519Pool({ threads: 1 });
    const open = pool.verify(
      Array.from({ length: 500 }, () => job('a')),
      wait,
    );
    open.catch(() => undefined);
    await pool.close();
    await assert.rejects(open);
    await assert.rejects(pool.verify([job('a')], wait), { code: 'VERIFIER_BUSY' });
  });
});

import assert from 'node:assert/strict';
import { createRequestLimit } from '../../../src/devices/keys/request-limit.js';

describe('the limit of requests by address', () => {
  it('admits so many in a minute, then says when to come back', async () => {
    const limit = createRequestLimit(3);
    for (let turn = 0; turn < 3; turn++) await limit.admit('192.0.2.1');
    await assert.rejects(limit.admit('192.0.2.1'), (error: unknown) => {
      const { code, retryAfterSeconds } = error as { code: string; retryAfterSeconds: number };
      return code === 'RATE_LIMITED' && retryAfterSeconds >= 1 && retryAfterSeconds <= 60;
    });
    await limit.admit('192.0.2.2');
  });

  const same: readonly [one: string, other: string, together: boolean][] = [
    ['::ffff:192.0.2.1', '192.0.2.1', true],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
    ['2001:db8::1', '2001:db8:0:0:1::1', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['::1', '2001:db8::1', false],
  ];
  for (const [one, other, together] of same) {
    it(`counts ${one} and ${other} ${together ? 'as one' : 'apart'}`, async () => {
      const limit = createRequestLimit(1);
      await limit.admit(one);
      if (together) await assert.rejects(limit.admit(other), { code: 'RATE_LIMITED' });
      else await limit.admit(other);
    });
  }

  it('admits any number without a limit', async () => {
    const limit = createRequestLimit(undefined);
    for (let turn = 0; turn < 1000; turn++) await limit.admit(null);
  });
});

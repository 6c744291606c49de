import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { listens, readiness } from '../../src/operation/health.js';

describe('readiness', () => {
  it('is there when every part is', async () => {
    assert.deepEqual(await readiness({ database: () => undefined }), {
      ready: true,
      checks: { database: 'ok' },
    });
  });

  it('names the part that is away, and why', async () => {
    const found = await readiness({
      database: () => 'connection refused',
      broker: async () => undefined,
      flows: () => Promise.reject(new Error('broken')),
    });
    assert.deepEqual(found, {
      ready: false,
      checks: { database: 'connection refused', broker: 'ok', flows: 'broken' },
    });
  });

  it('does not wait for a part that does not answer', async () => {
    const found = await readiness({ database: () => new Promise(() => undefined) });
    assert.match(found.checks['database'] ?? '', /no answer within/);
  });

  it('knows a port on which somebody listens', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    assert.equal(await listens('127.0.0.1', port), true);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(await listens('127.0.0.1', port), false);
  });
});

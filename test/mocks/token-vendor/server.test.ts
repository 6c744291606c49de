import assert from 'node:assert/strict';
import { serveTokenVendor } from '../../../src/mocks/token-vendor/server.js';
import { createTokenVendor, type VendorAnswer } from '../../../src/mocks/token-vendor/vendor.js';
import type { Publication } from '../../../src/mqtt/link.js';
import { listen, type HttpHouse } from '../../payments/provider-house.js';
import { eventually } from '../../support/eventually.js';

const order = JSON.stringify({ meter_number: '09000030529', credit_token: '54158492421732529281' });

describe('The simulated meter-management system over HTTP', () => {
  let http: HttpHouse;
  let published: Publication[];
  let answered: VendorAnswer[];
  let close: () => Promise<void>;
  beforeEach(async () => {
    [published, answered] = [[], []];
    const vendor = createTokenVendor(
      {
        seed: 1,
        rates: { refuse: 0, before: 0, late: 0, never: 0, twice: 0 },
        delay: { minMs: 0, maxMs: 0 },
        lateMs: 0,
        holdMs: 0,
      },
      async (publication) => void published.push(publication),
    );
    const serve = serveTokenVendor(vendor, (answer) => answered.push(answer));
    http = await listen((request, response) => void serve(request, response, request.url ?? '/'));
    close = async () => {
      await vendor.close();
      await http.close();
    };
  });
  afterEach(() => close());

  for (const [what, path, init, status] of [
    ['a token', '/', { method: 'POST', body: order }, 202],
    ['X-Simulate', '/', { method: 'POST', body: order, headers: { 'x-simulate': 'refuse 503' } }, 503],
    ['no JSON', '/', { method: 'POST', body: '{' }, 400],
    ['no token', '/', { method: 'POST', body: '{}' }, 400],
    ['too much', '/', { method: 'POST', body: JSON.stringify('x'.repeat(70_000)) }, 400],
    ['another method', '/', {}, 405],
    ['another path', '/tokens', { method: 'POST', body: order }, 404],
  ] as const) {
    it(`answers ${what} with ${status}, in JSON, and hands over only what it accepted`, async () => {
      const headers = { 'content-type': 'application/json', ...('headers' in init ? init.headers : {}) };
      const answer = await fetch(http.url + path, { ...init, headers });
      const body = (await answer.json()) as { status: string };
      assert.equal(answer.status, status);
      assert.equal(body.status, status === 202 ? 'accepted' : 'refused');
      assert.deepEqual(
        answered.map((one) => one.status),
        [status],
      );
      if (status === 202) await eventually(() => assert.equal(published.length, 1));
      else assert.equal(published.length, 0);
    });
  }
});

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCors } from '../../src/http/cors.js';
import { secureHeaders } from '../../src/http/secure-headers.js';

describe('the headers of every answer', () => {
  const asked = (host: string, encrypted: boolean): IncomingMessage =>
    ({ headers: { host }, socket: { encrypted } }) as unknown as IncomingMessage;

  it('keep pages out of the frames of others, and data from being anything but data', () => {
    const page = secureHeaders(asked('meter.example', false), false);
    assert.deepEqual(page, {
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
      'content-security-policy': "frame-ancestors 'self'",
      'x-frame-options': 'SAMEORIGIN',
    });
    const data = secureHeaders(asked('meter.example', false), true);
    assert.equal(data['content-security-policy'], "default-src 'none'; frame-ancestors 'none'");
    assert.equal(data['cache-control'], 'no-store');
  });

  const rows: [host: string, encrypted: boolean, strict: boolean][] = [
    ['meter.example', true, true],
    ['meter.example:8443', true, true],
    ['meter.example', false, false],
    ['localhost:1880', true, false],
    ['127.0.0.1:1880', true, false],
    ['[::1]:1880', true, false],
  ];
  for (const [host, encrypted, strict] of rows)
    it(`${strict ? 'bind' : 'do not bind'} ${host} to HTTPS over ${encrypted ? 'TLS' : 'plain HTTP'}`, () => {
      const found = secureHeaders(asked(host, encrypted), true)['strict-transport-security'];
      assert.equal(found, strict ? 'max-age=31536000' : undefined);
    });
});

describe('pages of other origins', () => {
  let server: Server;
  let url: string;
  before(async () => {
    const cors = createCors(['https://portal.example', 'http://localhost:5173']);
    server = createServer((request, response) => {
      if (!cors(request, response)) response.end('answer');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  const rows: [
    method: string,
    origin: string | undefined,
    preflight: boolean,
    status: number,
    allowed: boolean,
  ][] = [
    ['OPTIONS', 'https://portal.example', true, 204, true],
    ['OPTIONS', 'http://localhost:5173', true, 204, true],
    ['OPTIONS', 'https://evil.example', true, 403, false],
    ['OPTIONS', 'https://portal.example.evil.example', true, 403, false],
    ['OPTIONS', 'https://portal.example:444', true, 403, false],
    ['OPTIONS', 'http://portal.example', true, 403, false],
    ['OPTIONS', 'null', true, 403, false],
    ['OPTIONS', 'https://portal.example', false, 200, true],
    ['GET', 'https://portal.example', false, 200, true],
    ['GET', 'https://evil.example', false, 200, false],
    ['GET', undefined, false, 200, false],
    ['POST', 'null', false, 200, false],
  ];
  for (const [method, origin, preflight, status, allowed] of rows)
    it(`${allowed ? 'may' : 'may not'} read a ${preflight ? 'preflight' : method} from ${origin ?? 'no origin'}: ${status}`, async () => {
      const answer = await fetch(url, {
        method,
        headers: {
          ...(origin === undefined ? {} : { origin }),
          ...(preflight ? { 'access-control-request-method': 'POST' } : {}),
        },
      });
      await answer.arrayBuffer();
      const { headers } = answer;
      assert.equal(answer.status, status);
      assert.equal(headers.get('access-control-allow-origin'), allowed ? origin : null);
      assert.equal(headers.get('access-control-allow-credentials'), null);
      assert.match(headers.get('vary') ?? '', /^Origin/);
      if (allowed && preflight) assert.match(headers.get('access-control-allow-headers') ?? '', /X-API-Key/);
      if (allowed && !preflight)
        assert.match(headers.get('access-control-expose-headers') ?? '', /Retry-After.*X-Total-Count/);
    });
});

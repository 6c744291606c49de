import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCaptcha } from '../../src/callers/captcha.js';
import { DomainError } from '../../src/errors.js';

type Answering = (response: ServerResponse, form: URLSearchParams) => void;

describe('A CAPTCHA', () => {
  let server: Server;
  let url: string;
  let answering: Answering;
  let asked: { form: URLSearchParams; request: IncomingMessage }[];
  before(async () => {
    server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        const form = new URLSearchParams(text);
        asked.push({ form, request });
        answering(response, form);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/siteverify`;
  });
  beforeEach(() => {
    asked = [];
    answering = (response, form) =>
      response.end(JSON.stringify({ success: form.get('response') === 'good' }));
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  const verify = (token: unknown, options = {}, signal = new AbortController().signal): Promise<void> =>
    createCaptcha({ url, secret: 'of the site', ...options }).verify(token, '192.0.2.1', signal);
  const code = (wanted: string) => (error: unknown) => error instanceof DomainError && error.code === wanted;

  it('is verified by a form with the secret, the answer and the address', async () => {
    await verify('good');
    const [first] = asked;
    assert.deepEqual(Object.fromEntries(first?.form ?? []), {
      secret: 'of the site',
      response: 'good',
      remoteip: '192.0.2.1',
    });
    assert.equal(first?.request.method, 'POST');
    assert.match(first?.request.headers['content-type'] ?? '', /^application\/x-www-form-urlencoded/);
  });

  for (const [title, token] of [
    ['wrong', 'bad'],
    ['missing', undefined],
    ['empty', ''],
    ['no text', ['good']],
    ['endless', 'g'.repeat(8_193)],
  ] as const) {
    it(`is refused when it is ${title}`, async () => {
      await assert.rejects(verify(token), code('CAPTCHA_FAILED'));
      assert.equal(asked.length, title === 'wrong' ? 1 : 0);
    });
  }

  for (const [title, how] of [
    ['answers 500', (response) => response.writeHead(500).end('{"success":true}')],
    ['answers no JSON', (response) => response.end('<html>')],
    ['sends elsewhere', (response) => response.writeHead(307, { location: url }).end()],
    ['never ends', (response) => void response.write('{"success":true')],
    ['says too much', (response) => response.end(`{"success":true,"x":"${'x'.repeat(70_000)}"}`)],
    ['hangs up', (response) => response.destroy()],
  ] as readonly (readonly [string, Answering])[]) {
    it(`counts for nothing when the verifier ${title}`, async () => {
      answering = how;
      await assert.rejects(verify('good', { timeoutMs: 300 }), code('CAPTCHA_UNAVAILABLE'));
    });
  }

  it('is refused when the verifier says anything but true', async () => {
    for (const success of ['true', 1, null, undefined]) {
      answering = (response) => response.end(JSON.stringify({ success }));
      await assert.rejects(verify('good'), code('CAPTCHA_FAILED'));
    }
    answering = (response) => response.end('null');
    await assert.rejects(verify('good'), code('CAPTCHA_FAILED'));
  });

  it('is given up when the caller hangs up', async () => {
    answering = () => undefined;
    const gone = new AbortController();
    const verifying = verify('good', {}, gone.signal);
    gone.abort();
    await assert.rejects(verifying, code('CAPTCHA_UNAVAILABLE'));
  });
});

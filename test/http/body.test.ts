import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { jsonBody } from '../../src/http/body.js';
import type { ParsedRequest } from '../../src/http/body.js';

describe('the JSON reader', () => {
  let server: Server;
  let url: string;

  before(async () => {
    const read = jsonBody((path) => path.startsWith('/api'));
    server = createServer((request, response) => {
      read(request, response, () => {
        const { body, _body } = request as ParsedRequest;
        response.end(JSON.stringify({ parsed: _body === true, body }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  const json = { 'content-type': 'application/json' };
  const rows: [
    what: string,
    body: BodyInit | undefined,
    headers: Record<string, string>,
    status: number,
    code: string,
  ][] = [
    ['broken JSON', '{"a":', json, 400, 'BAD_REQUEST'],
    ['text that is not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), json, 400, 'BAD_REQUEST'],
    ['brackets a thousand deep', '['.repeat(1000) + ']'.repeat(1000), json, 400, 'BAD_REQUEST'],
    ['more than 1 MiB', `"${'x'.repeat(1_048_576)}"`, json, 413, 'PAYLOAD_TOO_LARGE'],
    ['a form', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['no content type', new Uint8Array([0x7b, 0x7d]), {}, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [
      'compressed JSON',
      gzipSync('{}'),
      { ...json, 'content-encoding': 'gzip' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'another charset',
      '{}',
      { 'content-type': 'application/json; charset=latin1' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  ];
  for (const [what, body, headers, status, code] of rows) {
    it(`refuses ${what} with ${status} ${code}`, async () => {
      const answer = await fetch(`${url}/api/x`, { method: 'POST', headers, body: body ?? null });
      const found = (await answer.json()) as { error: { code: string; message: string } };
      assert.equal(answer.status, status);
      assert.equal(found.error.code, code);
      assert.match(found.error.message, /^[A-Z].*\.$/);
    });
  }

  it('hands on JSON with a charset, brackets within strings, and nothing as {}', async () => {
    const sent = { deep: `${'['.repeat(200)}"\\` };
    const headers = { 'content-type': 'application/json; charset=UTF-8' };
    const answer = await fetch(`${url}/api/x`, { method: 'POST', headers, body: JSON.stringify(sent) });
    assert.deepEqual(await answer.json(), { parsed: true, body: sent });
    const empty = await fetch(`${url}/api/x`, { method: 'POST' });
    assert.deepEqual(await empty.json(), { parsed: true, body: {} });
  });

  it('leaves a form on a path of the integrator to Node-RED', async () => {
    const answer = await fetch(`${url}/mine`, { method: 'POST', body: new URLSearchParams({ a: '1' }) });
    assert.deepEqual(await answer.json(), { parsed: false });
  });

  it('answers 413 to an endless body without reading it to the end', async () => {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      'POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536, 0x20), Buffer.from('\r\n')]);
    const feeding = setInterval(() => socket.write(chunk), 1);
    try {
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const answer = await new Promise<string>((resolve) =>
        socket.once('data', (data) => resolve(data.toString())),
      );
      assert.match(answer, /^HTTP\/1\.1 413 /);
      await closed;
    } finally {
      clearInterval(feeding);
      socket.destroy();
    }
  });
});

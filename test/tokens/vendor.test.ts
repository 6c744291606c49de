import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer as createHttpsServer, type Server } from 'node:https';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createVendor, type Vendor, type VendorSettings } from '../../src/tokens/vendor.js';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { listen } from '../payments/provider-house.js';

const order = { meter_number: '09000030529', credit_token: '1'.repeat(20), injection_id: 'i', meter_id: 'm' };

describe('The call to the meter-management system', () => {
  const vendors: Vendor[] = [];
  afterEach(() => {
    for (const vendor of vendors.splice(0)) vendor.close();
  });

  function open(url: string, more: Partial<VendorSettings> = {}): Vendor {
    const vendor = createVendor({
      url,
      method: 'POST',
      headers: { 'x-own': 'yes' },
      body: ({ credit_token }) => ({ credit_token }),
      timeoutMs: 1_000,
      attemptsMax: 3,
      backoffMs: 10,
      breaker: { failuresMax: 3, openMs: 150 },
      ...more,
    });
    vendors.push(vendor);
    return vendor;
  }
  const never = new AbortController().signal;

  describe('over TLS', () => {
    let folder: CertificateFolder;
    let server: Server;
    let url = '';
    const names: unknown[] = [];
    before(async () => {
      folder = await createCertificateFolder();
      server = createHttpsServer(
        {
          cert: readFileSync(folder.certFile),
          key: readFileSync(folder.keyFile),
          ca: readFileSync(folder.caFile),
          requestCert: true,
          rejectUnauthorized: false,
        },
        (request, response) => {
          const socket = request.socket as unknown as {
            authorized: boolean;
            getPeerCertificate(): { subject?: { CN?: string } };
          };
          names.push(socket.authorized ? socket.getPeerCertificate().subject?.CN : null);
          response.writeHead(202).end();
        },
      );
      await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
      url = `https://localhost:${(server.address() as AddressInfo).port}/tokens`;
    });
    after(() => {
      server.closeAllConnections();
      server.close();
      folder.remove();
    });

    it('trusts the CA that it was given, and shows a certificate of its own', async () => {
      const own = folder.write('us', await folder.authority.device('us'));
      const tls = {
        ca: readFileSync(folder.caFile),
        cert: readFileSync(own.certFile),
        key: readFileSync(own.keyFile),
      };
      assert.equal((await open(url, { tls }).hand(order, never)).outcome, 'accepted');
      assert.deepEqual(names.splice(0), ['us']);
    });

    it('sends no token to somebody whom it cannot trust', async () => {
      const answer = await open(url).hand(order, never);
      assert.deepEqual([answer.outcome, answer.attempts], ['unsent', 3]);
      assert.match(answer.reason, /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO/);
      assert.deepEqual(names, []);
    });
  });

  it('keeps the id that the system gives, if it is one', async () => {
    const bodies: [body: string, id: string | null][] = [
      ['{"message_id":"a-1"}', 'a-1'],
      ['{"message_id":7}', null],
      ['{"message_id":"two words"}', null],
      ['null', null],
      ['accepted', null],
      [`{"message_id":"a","more":"${'x'.repeat(100_000)}"}`, null],
    ];
    let body = '';
    const http = await listen((_request, response) => response.writeHead(202).end(body));
    const vendor = open(http.url);
    for (const [text, id] of bodies) {
      body = text;
      const { outcome, messageId } = await vendor.hand(order, never);
      assert.deepEqual([outcome, messageId], ['accepted', id], text.slice(0, 40));
    }
    await http.close();
  });

  it('is over in time when the status comes and its body never does: the status counts', async () => {
    const http = await listen((_request, response) => {
      response.writeHead(202, { 'content-length': '100' });
      response.write('{');
    });
    const { outcome, status, messageId } = await open(http.url, { timeoutMs: 100 }).hand(order, never);
    assert.deepEqual([outcome, status, messageId], ['accepted', 202, null]);
    await http.close();
  });

  it('does not know what became of a token when the connection breaks, and does not send it again', async () => {
    let calls = 0;
    const server = createServer((socket: Socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        calls += 1;
        socket.resetAndDestroy();
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const answer = await open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).hand(
      order,
      never,
    );
    assert.deepEqual([answer.outcome, answer.attempts, calls], ['unknown', 1, 1]);
    server.close();
  });

  it('says no word of a template that cannot be filled in: it may hold the token', async () => {
    const body = (): never => {
      throw new Error(order.credit_token);
    };
    const answer = await open('http://127.0.0.1:1', { body, attemptsMax: 1 }).hand(order, never);
    assert.equal(answer.outcome, 'unsent');
    assert.ok(!answer.reason.includes(order.credit_token));
  });

  it('lets one through after a rest, and goes on resting when that fails', async () => {
    let status = 500;
    let calls = 0;
    const http = await listen((_request, response) => {
      calls += 1;
      response.writeHead(status).end();
    });
    const vendor = open(http.url, { attemptsMax: 1 });
    for (let n = 0; n < 3; n++) assert.equal((await vendor.hand(order, never)).outcome, 'refused');
    const many = await Promise.all(Array.from({ length: 20 }, () => vendor.hand(order, never)));
    assert.ok(many.every(({ outcome }) => outcome === 'unsent'));
    assert.equal(calls, 3);
    await eventually(async () => (await vendor.hand(order, never)).outcome === 'refused');
    assert.equal(calls, 4);
    assert.equal((await vendor.hand(order, never)).outcome, 'unsent', 'it rests again');
    status = 202;
    await eventually(async () => (await vendor.hand(order, never)).outcome === 'accepted');
    assert.equal(vendor.problem, null);
    await http.close();
  });

  it('takes a refusal for an answer: the system lives', async () => {
    const http = await listen((_request, response) => response.writeHead(422).end());
    const vendor = open(http.url);
    for (let n = 0; n < 10; n++) assert.equal((await vendor.hand(order, never)).status, 422);
    assert.equal(vendor.problem, null);
    await http.close();
  });

  it('ends its pauses when nobody waits any more', async () => {
    const gone = new AbortController();
    const pending = open('http://127.0.0.1:1', { backoffMs: 60_000 }).hand(order, gone.signal);
    gone.abort();
    assert.deepEqual((await pending).attempts, 1);
  });
});

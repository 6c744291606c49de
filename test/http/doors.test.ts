import assert from 'node:assert/strict';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { openDoors, portError } from '../../src/http/doors.js';
import type { DoorOptions } from '../../src/http/doors.js';
import { originProblem } from '../../src/http/origin.js';
import { createCertificateFolder } from '../support/certificates.js';
import type { CertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { askOverTls } from '../support/https.js';
import type { EncryptedAnswer, EncryptedCall } from '../support/https.js';
import { freePort } from '../support/ports.js';

describe('the Host and Origin check of the demo [S-1]', () => {
  const rows: [host: string | undefined, origin: string | undefined, network: boolean, admitted: boolean][] =
    [
      ['localhost:1880', undefined, false, true],
      ['127.0.0.1:1880', 'http://127.0.0.1:1880', false, true],
      ['[::1]:1880', 'http://[::1]:1880', false, true],
      ['LOCALHOST', 'http://localhost', false, true],
      ['localhost', 'https://localhost', false, true],
      ['evil.example:1880', undefined, false, false],
      ['127.0.0.1.evil.example', undefined, false, false],
      ['localhost@evil.example', undefined, false, false],
      [undefined, undefined, false, false],
      ['localhost:1880', 'http://evil.example', false, false],
      ['localhost:1880', 'http://localhost:3000', false, false],
      ['localhost:1880', 'null', false, false],
      ['localhost:1880', 'chrome-extension://abc', false, false],
      ['192.168.1.5:1880', undefined, false, false],
      ['192.168.1.5:1880', 'http://192.168.1.5:1880', true, true],
      ['meterflow:1880', undefined, true, true],
      ['evil.example', undefined, true, false],
      ['localhost:1880', 'https://portal.example', false, true],
      ['evil.example', 'https://portal.example', false, false],
      ['localhost:1880', 'https://portal.example:444', false, false],
    ];
  const admitted = ['https://portal.example'];
  for (const [host, origin, network, isAdmitted] of rows) {
    it(`${isAdmitted ? 'admits' : 'refuses'} Host ${host ?? '(none)'} with Origin ${origin ?? '(none)'}${network ? ' on a network' : ''}`, () => {
      assert.equal(originProblem({ host, origin }, { network, admitted }) === undefined, isAdmitted);
    });
  }
});

describe('the doors', () => {
  const open: DoorOptions = {
    host: '127.0.0.1',
    refuse: ({ url }) => (url === '/closed' ? 'Not you.' : undefined),
    request: (_request, response, door) => void response.end(door.variable),
    upgrade: (_request, socket) => void socket.end(),
  };

  it('lead through every port, and refuse in the one shape', async () => {
    const [one, two] = [await freePort(), await freePort()];
    const doors = await openDoors(
      [
        { port: one, variable: 'PORT' },
        { port: two, variable: 'HTTP_COMPAT_PORTS' },
      ],
      open,
    );
    assert.equal(await (await fetch(`http://127.0.0.1:${one}/`)).text(), 'PORT');
    assert.equal(await (await fetch(`http://127.0.0.1:${two}/`)).text(), 'HTTP_COMPAT_PORTS');
    const refused = await fetch(`http://127.0.0.1:${one}/closed`);
    assert.equal(refused.status, 403);
    assert.deepEqual(await refused.json(), { error: { code: 'FORBIDDEN', message: 'Not you.' } });
    await doors.close(100);
  });

  it('name a busy port and the variable that moves it, and leave none open', async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const { port } = busy.address() as AddressInfo;
    const first = await freePort();
    await assert.rejects(
      openDoors(
        [
          { port: first, variable: 'PORT' },
          { port, variable: 'HTTP_COMPAT_PORTS' },
        ],
        open,
      ),
      new RegExp(`Port ${port} on 127.0.0.1 is in use.*HTTP_COMPAT_PORTS`),
    );
    await assert.rejects(fetch(`http://127.0.0.1:${first}/`));
    await new Promise((resolve) => busy.close(resolve));
  });

  describe('with certificates', () => {
    let folder: CertificateFolder;
    before(async () => {
      folder = await createCertificateFolder();
    });
    after(() => folder.remove());

    const ask = (port: number, more: Partial<EncryptedCall> = {}): Promise<EncryptedAnswer> =>
      askOverTls(`https://127.0.0.1:${port}/`, { ca: folder.authority.cert, ...more });

    it('speak TLS 1.2 and later on every port, and take a renewed certificate without a restart', async () => {
      const [one, two] = [await freePort(), await freePort()];
      const doors = await openDoors(
        [
          { port: one, variable: 'PORT' },
          { port: two, variable: 'HTTP_COMPAT_PORTS' },
        ],
        {
          ...open,
          tls: folder,
          headers: (request) => ({ 'x-encrypted': String((request.socket as TLSSocket).encrypted) }),
        },
      );
      try {
        const first = await ask(one);
        assert.deepEqual([first.status, first.headers['x-encrypted']], [200, 'true']);
        await assert.rejects(fetch(`http://127.0.0.1:${one}/`));
        await assert.rejects(ask(one, { maxVersion: 'TLSv1.1' }));
        folder.write('server', await folder.authority.server(['localhost', '127.0.0.1']));
        for (const port of [one, two])
          await eventually(async () => assert.notEqual((await ask(port)).serial, first.serial));
      } finally {
        await doors.close(100);
      }
    });

    it('name a file that is no certificate, and open nothing', async () => {
      const port = await freePort();
      await assert.rejects(
        openDoors([{ port, variable: 'PORT' }], { ...open, tls: { ...folder, certFile: folder.keyFile } }),
        /server\.key holds no certificate in PEM form/,
      );
      await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    });
  });

  it('close although somebody holds a request open', async () => {
    const port = await freePort();
    const doors = await openDoors([{ port, variable: 'PORT' }], { ...open, request: () => undefined });
    const hanging = get({ port, host: '127.0.0.1' });
    const ended = new Promise((resolve) => hanging.on('error', resolve));
    await new Promise((resolve) => hanging.on('socket', (socket) => socket.on('connect', resolve)));
    await doors.close(50);
    await ended;
  });

  it('say what is wrong with an address that this machine has not', () => {
    const missing = Object.assign(new Error(), { code: 'EADDRNOTAVAIL' });
    assert.match(
      portError(missing, { port: 1, variable: 'PORT' }, '203.0.113.1').message,
      /no address 203\.0\.113\.1: set HOST/,
    );
  });
});

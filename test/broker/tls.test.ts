import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { type IClientOptions, type MqttClient, connectAsync } from 'mqtt';
import { WebSocket } from 'ws';

import { createAuthority } from '../../scripts/certificates/authority.js';
import { namesOf } from '../../src/broker/client-certificate.js';
import type { BrokerOptions } from '../../src/broker/options.js';
import { type TestBroker, as, startTestBroker } from '../support/broker.js';
import { type CertificateFolder, createCertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { Wire, connack, connectPacket, publishPacket, puback } from '../support/mqtt-wire.js';

const run = promisify(execFile);
const reading = '{"kwh_amount":0.25,"reading_timestamp":1795176000000}';

describe('MQTT over TLS and WebSocket', () => {
  let folder: CertificateFolder;
  let test: TestBroker;
  const clients: MqttClient[] = [];

  before(async () => {
    folder = await createCertificateFolder();
  });
  after(() => folder.remove());
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((one) => one.endAsync(true)));
    await test.broker.close({ drainMs: 0 });
  });

  async function start(more: Partial<BrokerOptions> = {}, withCa = true): Promise<void> {
    const { certFile, keyFile, caFile } = folder;
    test = await startTestBroker(
      {},
      { tls: { port: 0, certFile, keyFile, ...(withCa ? { caFile } : {}) }, webSocketPort: 0, ...more },
    );
    test.sink.settling = true;
  }

  const portOf = (way: 'mqtts' | 'ws'): number => test.broker.ports[way] ?? assert.fail(`${way} is closed`);

  async function client({ protocol = 'mqtts', port = portOf('mqtts'), ...options }: IClientOptions) {
    const made = await connectAsync(
      `${protocol}://localhost:${port}`,
      { ca: folder.authority.cert, reconnectPeriod: 0, connectTimeout: 3_000, ...options },
      false,
    );
    made.on('error', () => undefined);
    clients.push(made);
    return made;
  }

  /** Without anything else: what a device with a certificate sends. */
  async function certified(
    name: string,
    options: { readonly days?: number; readonly uri?: string } = {},
  ): Promise<IClientOptions> {
    const { cert, key } = await folder.authority.device(name, options);
    return { cert, key, clientId: name };
  }

  const password = (name: string): IClientOptions => {
    const { id, user, password: secret } = as(name);
    return { clientId: id, username: user, password: secret };
  };

  async function refused(options: IClientOptions, reason: string): Promise<void> {
    await assert.rejects(client(options));
    await eventually(() => assert.equal(test.sink.of('refused').at(-1)?.reason, reason));
  }

  it('takes a password over TLS, and stores as over plain MQTT', async () => {
    await start({}, false);
    const meter = await client(password('METER001'));
    await meter.publishAsync('meters/METER001/readings', reading, { qos: 1 });
    assert.equal(test.sink.deliveries[0]?.payload, reading);
    await refused({ ...password('METER002'), password: 'wrong' }, 'bad credentials');
  });

  it('is closed to a client that does not trust it, and to one without TLS', async () => {
    await start();
    const stranger = await createAuthority('Somebody else');
    await assert.rejects(client({ ...password('METER001'), ca: stranger.cert }));
    const wire = await Wire.open(portOf('mqtts'));
    wire.send(connectPacket(as('METER001')));
    await wire.expectClosed();
    assert.equal(test.broker.stats().clients, 0);
  });

  describe('with a CA', () => {
    const cases: readonly [string, (name: string) => Promise<IClientOptions>][] = [
      ['the meter_id as common name', () => certified('METER001')],
      ['the device id as common name', () => certified('id-METER001')],
      ['a URI', () => certified('anything', { uri: 'urn:meterflow:device:METER001' })],
      [
        'the right user name and any password',
        async () => ({ ...(await certified('METER001')), username: 'METER001', password: 'x' }),
      ],
    ];
    for (const [what, login] of cases) {
      it(`lets a device in by its certificate, without a password: ${what}`, async () => {
        await start();
        const meter = await client(await login('METER001'));
        await meter.publishAsync('meters/METER001/readings', reading, { qos: 1 });
        assert.deepEqual(
          test.sink.deliveries.map(({ meter_id }) => meter_id),
          ['METER001'],
        );
        assert.equal(test.sink.of('connected')[0]?.mqtt_user, 'METER001');
      });
    }

    it('still lets in who shows none and knows a password, service accounts among them', async () => {
      await start();
      await client(password('METER001'));
      await client(password('backend'));
      assert.equal(test.broker.stats().clients, 2);
    });

    it('refuses a device that the registry does not know, or no longer, although its certificate is valid', async () => {
      await start();
      await refused(await certified('METER999'), 'certificate of no such device');
      test.directory.remove('METER002');
      await refused(await certified('METER002'), 'certificate of no such device');
      await refused(await certified('backend'), 'certificate of no such device');
    });

    it('refuses another user name than the certificate says, also with the right password', async () => {
      await start();
      await refused(
        { ...(await certified('METER001')), ...password('METER002') },
        'certificate of no such device',
      );
      await refused(
        { ...(await certified('METER001')), ...password('backend') },
        'certificate of no such device',
      );
    });

    it('answers CONNACK 3 while the registry is away', async () => {
      await start();
      test.directory.available = false;
      await refused(await certified('METER001'), 'registry unavailable');
    });

    it('refuses certificates of another CA, expired ones, and those of servers', async () => {
      await start();
      const stranger = await createAuthority('Somebody else');
      const expired = await certified('METER001', { days: -1 });
      for (const login of [
        { ...(await stranger.device('METER001')), ...password('METER001') },
        { ...expired, ...password('METER001') },
        { ...(await folder.authority.server(['METER001'])), ...password('METER001') },
      ]) {
        await assert.rejects(client(login));
      }
      assert.equal(test.broker.stats().clients, 0);
      assert.equal(test.sink.of('connected').length, 0);
    });

    it('closes the session when the device is revoked', async () => {
      await start();
      const meter = await client(await certified('METER001'));
      const closed = new Promise<void>((resolve) => void meter.once('close', () => resolve()));
      await eventually(() => test.sink.of('connected').length === 1);
      test.directory.remove('METER001');
      await closed;
      await eventually(() =>
        assert.deepEqual(
          test.sink.of('disconnected').map(({ reason }) => reason),
          ['revoked'],
        ),
      );
    });

    it('asks every device for one with DEVICE_AUTH_METHOD=mtls, on every way in, but no service account', async () => {
      await start({ deviceCertificates: 'required' });
      await refused(password('METER001'), 'certificate required');
      await client(await certified('METER001'));
      await client(password('backend'));
      const wire = await Wire.open(test.port);
      wire.send(connectPacket(as('METER002')));
      await wire.expect(connack(5));
    });

    it('works with mosquitto_pub: --cafile, --cert, --key', async () => {
      await start();
      const { certFile, keyFile } = folder.write('METER001', await folder.authority.device('METER001'));
      const publish = (more: string[]) =>
        run(
          'mosquitto_pub',
          `-h localhost -p ${portOf('mqtts')} --cafile ${folder.caFile} -i METER001 -q 1 -t meters/METER001/readings`
            .split(' ')
            .concat('-m', reading, more),
        );
      await publish(['--cert', certFile, '--key', keyFile]);
      await publish(['-u', 'METER001', '-P', 'secret of METER001']);
      assert.equal(test.sink.deliveries.length, 2);
      await assert.rejects(publish(['--cert', certFile, '--key', keyFile, '-u', 'METER002']));
    });
  });

  it('closes a socket that does not begin a handshake with the broker, not later', async () => {
    await start();
    const silent = connectTcp(portOf('mqtts'), '127.0.0.1');
    await new Promise((resolve) => silent.once('connect', resolve));
    const closed = new Promise((resolve) => silent.once('close', resolve));
    silent.on('error', () => undefined);
    silent.resume();
    const from = performance.now();
    await test.broker.close({ drainMs: 0 });
    await closed;
    assert.ok(performance.now() - from < 3_000);
  });

  describe('when the certificate files change', () => {
    const subject = async (): Promise<string> => {
      const socket = connectTls({ port: portOf('mqtts'), host: '127.0.0.1', rejectUnauthorized: false });
      await new Promise<void>((resolve, reject) =>
        socket.once('secureConnect', resolve).once('error', reject),
      );
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return CN;
    };

    afterEach(async () => {
      folder.write('server', await folder.authority.server(['localhost', '127.0.0.1']));
    });

    it('shows the new one to new connections and leaves those that are there alone', async () => {
      await start();
      const plain = await Wire.login(test.port, as('METER002'));
      const secure = await client(await certified('METER001'));
      assert.equal(await subject(), 'localhost');
      folder.write('server', await folder.authority.server(['new.example', 'localhost']));
      await eventually(async () => assert.equal(await subject(), 'new.example'));
      plain.send(publishPacket('meters/METER002/readings', reading, 7));
      await plain.expect(puback(7));
      await secure.publishAsync('meters/METER001/readings', reading, { qos: 1 });
      assert.equal(test.sink.of('disconnected').length, 0);
    });

    it('keeps the old one while the new one cannot be used, and says so', async () => {
      const told: string[] = [];
      await start({ log: { info: () => {}, warn: (line) => told.push(line) } });
      const breaks: (() => unknown)[] = [
        () => writeFileSync(folder.certFile, 'no certificate'),
        () => rmSync(folder.keyFile),
        async () => writeFileSync(folder.keyFile, (await folder.authority.server(['other.example'])).key),
        async () => folder.write('server', await folder.authority.server(['late.example'], -1)),
      ];
      for (const broken of breaks) {
        told.length = 0;
        await broken();
        await eventually(() =>
          assert.ok(told.includes('The new MQTT certificates are not used, the old ones stay')),
        );
        assert.equal(await subject(), 'localhost');
        assert.notEqual(test.broker.stats().certificateProblem, null);
      }
      folder.write('server', await folder.authority.server(['good.example']));
      await eventually(async () => assert.equal(await subject(), 'good.example'));
      assert.equal(test.broker.stats().certificateProblem, null);
    });
  });

  it('does not start with files that cannot be used, and names them', async () => {
    await start();
    const { keyFile, caFile } = folder;
    const starting = (tls: Partial<CertificateFolder>) =>
      startTestBroker({}, { tls: { port: 0, certFile: folder.certFile, keyFile, caFile, ...tls } });
    await assert.rejects(starting({ certFile: '/nowhere.crt' }), /\/nowhere\.crt cannot be read/);
    await assert.rejects(starting({ certFile: keyFile }), /holds no certificate in PEM form/);
    const other = folder.write('other', await folder.authority.server(['other']));
    await assert.rejects(starting({ keyFile: other.keyFile }), /is not the key/);
  });

  it('opens no plain port when none is wanted; WebSocket is encrypted then', async () => {
    await start({ port: null });
    assert.equal(test.broker.ports.mqtt, null);
    assert.equal(test.broker.port, test.broker.ports.mqtts);
    const login = { protocol: 'wss' as const, port: portOf('ws'), path: '/mqtt' };
    const meter = await client({ ...login, ...(await certified('METER001')) });
    await meter.publishAsync('meters/METER001/readings', reading, { qos: 1 });
    assert.equal(test.sink.deliveries.length, 1);
    await assert.rejects(client({ ...login, protocol: 'ws', ...password('METER002') }));
  });

  describe('over WebSocket', () => {
    const raw = async (protocols: string[], headers: Record<string, string> = {}): Promise<WebSocket> => {
      const socket = new WebSocket(`ws://127.0.0.1:${portOf('ws')}/`, protocols, { headers });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      return socket;
    };
    const closeOf = (socket: WebSocket) => new Promise((resolve) => socket.once('close', resolve));

    it('serves mqtt.js: publish, subscribe, large packets, keep-alive, clean end', async () => {
      await start();
      const login = { protocol: 'ws' as const, port: portOf('ws') };
      const meter = await client({ ...login, ...password('METER001'), keepalive: 1 });
      const backend = await client({ ...login, ...password('backend') });
      const heard = new Promise<string>((resolve) =>
        meter.once('message', (_topic, payload) => resolve(String(payload))),
      );
      await meter.subscribeAsync('smartmeter/METER001/command/#');
      await backend.publishAsync('smartmeter/METER001/command/balance', 'x'.repeat(200_000), { qos: 1 });
      assert.equal((await heard).length, 200_000);
      await Promise.all(
        Array.from({ length: 500 }, () =>
          meter.publishAsync('meters/METER001/readings', reading, { qos: 1 }),
        ),
      );
      assert.equal(test.sink.deliveries.length, 500);
      await new Promise((resolve) => meter.once('packetreceive', resolve));
      await meter.endAsync();
      await eventually(() => assert.equal(test.sink.of('disconnected')[0]?.reason, 'disconnect'));
    });

    it('takes packets however they are cut into frames [MQTT-6.0.0-2]', async () => {
      await start();
      for (const protocol of ['mqtt', 'mqttv3.1']) {
        const socket = await raw([protocol]);
        assert.equal(socket.protocol, protocol);
        const got: Buffer[] = [];
        socket.on('message', (data: Buffer) => got.push(data));
        const bytes = Buffer.concat([
          connectPacket(as('METER001')),
          publishPacket('meters/METER001/readings', reading, 1),
          publishPacket('meters/METER001/readings', reading, 2),
        ]);
        for (let at = 0; at < bytes.length; at += 7) socket.send(bytes.subarray(at, at + 7));
        const wanted = Buffer.concat([connack(0), puback(1), puback(2)]).toString('hex');
        await eventually(() => assert.equal(Buffer.concat(got).toString('hex'), wanted));
        socket.terminate();
      }
    });

    it('has the same guard: bad packets, oversize, silence', async () => {
      await start({ limits: { packetBytesMax: 4_096, connectTimeoutMs: 200 } });
      const malformed = await raw(['mqtt']);
      malformed.send(Buffer.from([0xf0, 0]));
      await closeOf(malformed);
      const oversize = await raw(['mqtt']);
      oversize.on('error', () => undefined);
      oversize.send(Buffer.alloc(5_000));
      await closeOf(oversize);
      await closeOf(await raw(['mqtt']));
      const text = await raw(['mqtt']);
      text.send('text'); // [MQTT-6.0.0-1]
      await closeOf(text);
    });

    it('refuses other subprotocols, pages of other origins, and plain HTTP', async () => {
      await start();
      await assert.rejects(raw([]), /400/);
      await assert.rejects(raw(['chat']), /400/);
      await assert.rejects(raw(['mqtt'], { origin: 'https://evil.example' }), /400/);
      (await raw(['mqtt'], { origin: 'http://localhost:1880' })).terminate();
      assert.equal((await fetch(`http://127.0.0.1:${portOf('ws')}/`)).status, 426);
    });
  });

  it('closes within its time with clients on every way in', async () => {
    await start();
    const all = [
      await client(await certified('METER001')),
      await client({ protocol: 'ws', port: portOf('ws'), ...password('METER002') }),
      await client({ protocol: 'mqtt', port: test.port, ...password('backend') }),
    ];
    const closed = Promise.all(
      all.map((one) => new Promise<void>((resolve) => void one.once('close', () => resolve()))),
    );
    const from = performance.now();
    await test.broker.close({ drainMs: 0 });
    await closed;
    assert.ok(performance.now() - from < 3_000);
  });
});

describe('The names in a certificate', () => {
  it('are the common name, DNS names, and URIs with their last part', () => {
    assert.deepEqual(namesOf('METER001', 'DNS:a.example, URI:urn:uuid:1234, IP Address:127.0.0.1'), [
      'METER001',
      'a.example',
      'urn:uuid:1234',
      '1234',
    ]);
    assert.deepEqual(namesOf(['A', 'B']), ['A', 'B']);
    assert.deepEqual(namesOf(undefined), []);
  });

  it('cannot be smuggled in with a comma', () => {
    assert.deepEqual(namesOf(undefined, 'URI:"http://x/, DNS:METER002", DNS:METER001'), ['METER001']);
  });
});

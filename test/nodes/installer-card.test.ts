import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createRegistry } from '../../src/devices/registry.js';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort, listens } from '../support/ports.js';
import { paintQrCode, readQrCode } from '../support/qr-reader.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

const run = promisify(execFile);

interface Card {
  readonly url: string;
  readonly local: boolean;
  readonly ca: string | null;
  readonly lines: readonly { readonly name: string; readonly text: string }[];
  readonly code: string;
  readonly qr: string;
  readonly html: string;
}

describe('installer-card', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let certificates: CertificateFolder;
  let folder: string;
  let ports: { plain: number; tls: number };
  let number = 0;

  before(async () => {
    test = await createTestDatabase();
    certificates = await createCertificateFolder();
    folder = mkdtempSync(join(tmpdir(), 'meterflow-card-'));
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    certificates?.remove();
    await test?.drop();
  });
  beforeEach(async () => {
    ports = { plain: await freePort(), tls: await freePort() };
  });
  afterEach(() => stopFlow());

  /** The registry, its keys, the card, and the broker with what is behind it. */
  const flow = (mqtt: object = {}, authMethod = '', tls = false): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    { id: 'ring', type: 'meter-keyring', database: 'db', authMethod, rotationDays: '', graceDays: '' },
    {
      id: 'mqtt',
      type: 'meter-mqtt',
      embeddedHost: '127.0.0.1',
      port: String(ports.plain),
      tlsPort: String(ports.tls),
      ...(tls ? { cert: certificates.certFile, ca: certificates.caFile } : {}),
      ...mqtt,
    },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(ports.plain),
      externalHost: '',
      ...(tls
        ? {
            plaintext: 'false',
            tlsPort: String(ports.tls),
            tlsCert: certificates.certFile,
            tlsKey: certificates.keyFile,
          }
        : {}),
      wires: [['validator'], ['messages'], []],
    },
    { id: 'validator', type: 'reading-validator', keyring: 'ring', wires: [['store'], ['rejected']] },
    {
      id: 'store',
      type: 'reading-store',
      database: 'db',
      batchMax: '',
      lanes: '',
      spacingSeconds: '',
      wires: [['stored'], ['duplicate'], ['rejected']],
    },
    { id: 'messages', type: 'message-store', database: 'db', wires: [['kept']] },
    {
      id: 'registry',
      type: 'device-registry',
      database: 'db',
      operation: 'create',
      operationType: 'operation',
      wires: [['card', 'created'], []],
    },
    {
      id: 'keys',
      type: 'device-keys',
      keyring: 'ring',
      operation: 'register',
      operationType: 'operation',
      perMinute: 'unlimited',
      wires: [['registered'], []],
    },
    { id: 'card', type: 'installer-card', mqtt: 'mqtt', authMethod, wires: [['cards'], ['refused']] },
    { id: 'catch', type: 'catch', scope: null, wires: [['failed']] },
    ...['stored', 'duplicate', 'rejected', 'kept', 'created', 'registered', 'cards', 'refused', 'failed'].map(
      (id) => ({ id, type: 'helper' }),
    ),
  ];

  /** With its broker, which comes up a moment after the flow. */
  async function start(nodes: Parameters<typeof startFlow>[0]): Promise<RunningFlow> {
    const running = await startFlow(nodes, { ring: { masterKey: '11'.repeat(32) } });
    await eventually(async () => (await listens(ports.plain)) || (await listens(ports.tls)));
    return running;
  }

  async function next(running: RunningFlow, id: string, count = 1): Promise<FlowMessage> {
    await eventually(() => assert.ok(running.received(id).length >= count, `${id}: ${count}`));
    return running.received(id)[count - 1] ?? {};
  }

  /** A new meter's card, the first one of this flow. */
  async function cardOf(running: RunningFlow, device: object): Promise<Card> {
    running.send('registry', { payload: { meter_id: `CARD-${++number}`, type: 'meter', ...device } });
    return (await next(running, 'cards')).payload as Card;
  }

  async function runs(card: Card, name: string): Promise<void> {
    if (card.ca !== null) writeFileSync(join(folder, 'ca.pem'), card.ca);
    const line = card.lines.find((each) => each.name === name)?.text ?? 'false';
    await run('sh', ['-c', line], { cwd: folder, timeout: 20_000 });
  }

  it('makes lines that work as they are: a sign of life and a reading, each counted once', async () => {
    const running = await start(flow());
    const card = await cardOf(running, { name: `Mama's <b>kiosk</b>` });
    assert.deepEqual([card.url, card.local, card.ca], [`mqtt://127.0.0.1:${ports.plain}`, true, null]);
    await runs(card, 'telemetry');
    await next(running, 'kept');
    await runs(card, 'reading');
    await next(running, 'stored');
    await runs(card, 'reading');
    await next(running, 'duplicate');
    assert.equal(running.received('rejected').length, 0);
  });

  it('makes a line over TLS that trusts the CA it hands out, and a reading that is signed', async () => {
    const running = await start(flow({}, 'hmac', true));
    running.send('registry', { payload: { type: 'meter', meter_id: 'SIGNED' } });
    const device = (await next(running, 'created')).payload as object;
    const unsigned = (await next(running, 'cards')).payload as Card;
    assert.ok(!unsigned.lines.some(({ name }) => name === 'reading'), 'no line that would be refused');
    running.send('keys', { payload: { meter_id: 'SIGNED', algorithm: 'hmac-sha256' } });
    const key = (await next(running, 'registered')).payload as { secret: string };
    running.send('card', { payload: { ...device, key } });
    const card = (await next(running, 'cards', 2)).payload as Card;
    assert.equal(card.url, `mqtts://127.0.0.1:${ports.tls}`);
    assert.match(card.ca ?? '', /^-----BEGIN CERTIFICATE/);
    await runs(card, 'reading');
    await next(running, 'stored');
    assert.equal(running.received('rejected').length, 0);
    assert.ok(card.code.includes(key.secret));
  });

  it('holds in its QR code, as a scanner reads it, what docs/protocol.md says', async () => {
    const running = await start(flow({ publicUrl: 'mqtts://meters.example.org' }));
    const card = await cardOf(running, { drn: '09000030529' });
    const device = (await next(running, 'created')).payload as Record<string, string>;
    const picture = join(folder, 'code.pgm');
    paintQrCode(card.qr, picture);
    const read = await readQrCode(picture);
    assert.equal(read, card.code);
    assert.deepEqual(JSON.parse(read), {
      meterflow: 1,
      url: 'mqtts://meters.example.org:8883',
      user: device['mqtt_user'],
      password: device['mqtt_password'],
      device_id: device['id'],
      meter_id: device['meter_id'],
      drn: '09000030529',
      type: 'meter',
      up: [`meters/${device['meter_id']}/readings`, `devices/${device['id']}/telemetry`],
      down: [`smartmeter/${device['meter_id']}/command/balance`, `devices/${device['id']}/command/#`],
    });
  });

  for (const [title, mqtt, seen_as, url, line] of [
    [
      'the host of the browser instead of loopback',
      {},
      'meter-host.lan',
      'mqtt://meter-host.lan:',
      '-h meter-host.lan ',
    ],
    ['an IPv6 address with brackets in the URL only', {}, '[fd00::7]', 'mqtt://[fd00::7]:', '-h fd00::7 '],
    [
      'MQTT_PUBLIC_URL before everything else',
      { publicUrl: 'mqtt://10.1.2.3:2883' },
      'meter-host.lan',
      'mqtt://10.1.2.3:2883',
      '-h 10.1.2.3 -p 2883 ',
    ],
    [
      'the address of an external broker, and the public authorities',
      { host: 'mosquitto.example.org', tls: 'true' },
      'meter-host.lan',
      'mqtts://mosquitto.example.org:',
      '--tls-use-os-certs',
    ],
  ] as const) {
    it(`shows ${title}`, async () => {
      const running = await start(flow(mqtt));
      const device = { id: 'a', meter_id: 'a', type: 'sensor', mqtt_user: 'a', mqtt_password: '-x' };
      running.send('card', { payload: { ...device, seen_as } });
      const card = (await next(running, 'cards')).payload as Card;
      assert.ok(card.url.startsWith(url), card.url);
      assert.equal(card.local, false);
      assert.deepEqual(
        card.lines.map(({ name }) => name),
        ['telemetry', 'commands'],
      );
      for (const { text } of card.lines) assert.ok(text.includes(line), text);
    });
  }

  it('lets a device show its certificate, where it must', async () => {
    const running = await start(flow({}, 'mtls', true));
    const { lines } = await cardOf(running, {});
    for (const { text } of lines)
      assert.match(text, / --cafile ca\.pem --cert device\.pem --key device-key\.pem -u CARD-\d+ -P /);
  });

  it('prints nothing as markup that somebody typed, and loads nothing', async () => {
    const running = await start(flow());
    const { html } = await cardOf(running, { name: '<img src=x onerror=alert(1)>', location: `"'&` });
    assert.ok(html.includes('&lt;img src=x onerror=alert(1)&gt;'));
    assert.doesNotMatch(html, /<(?:script|img|link)|src=["'h]/i);
  });

  it('refuses a device without its password, naming the field and no secret', async () => {
    const running = await start(flow());
    const { device } = await createRegistry(test.database).create({ type: 'meter' }, { name: 'test' });
    running.send('card', { payload: { ...device, key: { algorithm: 'hmac-sha256', secret: 'not hex' } } });
    const { payload, statusCode } = await next(running, 'refused');
    assert.equal(statusCode, 400);
    const { details } = (payload as { error: { details: { path: string }[] } }).error;
    assert.deepEqual(details.map(({ path }) => path).sort(), ['/key/secret', '/mqtt_password']);
    assert.ok(!JSON.stringify(payload).includes('not hex'));
  });
});

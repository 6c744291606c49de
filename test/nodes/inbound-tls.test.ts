import { strict as assert } from 'node:assert';
import { copyFileSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { createAuthority } from '../../scripts/certificates/authority.js';
import { createRegistry } from '../../src/devices/registry.js';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';
import { startFlow, stopFlow, type RunningFlow } from './flow.js';

const caller = { name: 'test' };

/** A Mosquitto that speaks MQTTS only, asks for a certificate. */
describe('The inbound node over TLS', function () {
  this.timeout(30_000);
  let test: TestDatabase;
  let folder: CertificateFolder;
  let mosquitto: Mosquitto;
  let own: { readonly certFile: string; readonly keyFile: string };
  let plain: Server;
  let strangerCa: string;
  let stranger: object;

  before(async () => {
    test = await createTestDatabase();
    await createRegistry(test.database).create({ type: 'meter', meter_id: 'METER001' }, caller);
    folder = await createCertificateFolder();
    own = folder.write('gateway', await folder.authority.device('gateway'));
    const other = await createAuthority('Somebody else');
    strangerCa = folder.write('other', other).certFile;
    const { certFile: cert, keyFile: key } = folder.write('stranger', await other.device('gateway'));
    stranger = { cert, key };
    plain = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((listening) => plain.listen(0, 'localhost', listening));
    const server = folder.write('localhost', await folder.authority.server(['localhost']));
    mosquitto = await startMosquitto({ tls: { caFile: folder.caFile, ...server } });
  });
  afterEach(stopFlow);
  after(async () => {
    await mosquitto?.remove();
    plain?.close();
    folder?.remove();
    await test?.drop();
  });

  function start(more: object): Promise<RunningFlow> {
    const mqtt = {
      id: 'mqtt',
      type: 'meter-mqtt',
      host: 'localhost',
      port: String(mosquitto.port),
      // As the shipped flow has it from MQTT_USE_TLS.
      tls: 'true',
      ca: folder.caFile,
      cert: own.certFile,
      key: own.keyFile,
      clientId: 'tls-test',
      ...more,
    };
    return startFlow([
      { id: 'database', type: 'meter-database', url: test.url, connectionsMax: '4' },
      mqtt,
      {
        id: 'inbound',
        type: 'meter-inbound',
        database: 'database',
        mqtt: 'mqtt',
        group: 'tls',
        inflightMax: '',
        flowDeadlineSeconds: '',
        sessionHours: '',
        wires: [['validator'], [], []],
      },
      { id: 'validator', type: 'reading-validator', wires: [['store'], []] },
      {
        id: 'store',
        type: 'reading-store',
        database: 'database',
        batchMax: '',
        lanes: '',
        spacingSeconds: '0',
        wires: [['stored'], [], []],
      },
      { id: 'stored', type: 'helper' },
    ]);
  }

  /** Says one reading over MQTTS, as a meter with a certificate. */
  async function publish(minutesAgo: number): Promise<void> {
    const meter = await connectAsync(`mqtts://localhost:${mosquitto.port}`, {
      ca: readFileSync(folder.caFile),
      cert: readFileSync(own.certFile),
      key: readFileSync(own.keyFile),
    });
    const reading = { kwh_amount: 1.25, reading_timestamp: Date.now() - minutesAgo * 60_000 };
    await meter.publishAsync('meters/METER001/readings', JSON.stringify(reading), { qos: 1 });
    await meter.endAsync();
  }

  it('takes in from a broker of the CA that it was given, and shows its own certificate', async () => {
    const running = await start({});
    await eventually(() => assert.match(running.status('inbound').text ?? '', /^localhost:\d+ · shared · /));
    assert.equal(running.status('inbound').fill, 'green');
    await publish(1);
    await eventually(() => assert.equal(running.received('stored').length, 1));
  });

  const refused: [what: string, more: () => object, status: RegExp][] = [
    [
      'a certificate of an authority that it was not given',
      () => ({ ca: strangerCa }),
      /^localhost:\d+ · the broker's certificate is not trusted: self-signed certificate in certificate chain · again in \d+ s$/,
    ],
    [
      'a certificate of no public authority, when it was given none',
      () => ({ ca: '' }),
      /^localhost:\d+ · the broker's certificate is not trusted: self-signed certificate in certificate chain · again in \d+ s$/,
    ],
    [
      'a certificate of another host',
      () => ({ host: '127.0.0.1' }),
      /^127\.0\.0\.1:\d+ · the broker's certificate is for another host: .*127\.0\.0\.1.* · again in \d+ s$/,
    ],
    [
      'a broker that wants to see a certificate, when it has none',
      () => ({ cert: '', key: '' }),
      /^localhost:\d+ · the broker wants a certificate of us · again in \d+ s$/,
    ],
    [
      'a certificate of its own that the broker does not know',
      () => stranger,
      /^localhost:\d+ · the broker refuses our certificate · again in \d+ s$/,
    ],
    [
      'a port without TLS',
      () => ({ port: String((plain.address() as AddressInfo).port) }),
      /^localhost:\d+ · the broker does not speak TLS on this port · again in \d+ s$/,
    ],
    [
      'a file that is not there',
      () => ({ ca: '/nowhere/ca.crt' }),
      /^localhost:\d+ · ENOENT: .*\/nowhere\/ca\.crt/,
    ],
  ];
  for (const [what, more, status] of refused) {
    it(`is not connected, and says why: ${what}`, async () => {
      const running = await start(more());
      await eventually(() => assert.match(running.status('inbound').text ?? '', status));
      assert.equal(running.status('inbound').fill, 'red');
    });
  }

  it('connects by itself once the right authority is in the file: nothing came in before, nothing is missing after', async () => {
    const caFile = join(folder.caFile, '../renewed.crt');
    copyFileSync(strangerCa, caFile);
    const running = await start({ ca: caFile });
    await eventually(() => assert.equal(running.status('inbound').fill, 'red'));
    copyFileSync(folder.caFile, caFile);
    await eventually(() => assert.equal(running.status('inbound').fill, 'green'), { timeoutMs: 20_000 });
    await publish(30);
    await eventually(() => assert.equal(running.received('stored').length, 1));
  });
});

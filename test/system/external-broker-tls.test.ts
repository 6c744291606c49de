import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connectAsync } from 'mqtt';
import { createAuthority } from '../../scripts/certificates/authority.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { registerMeters } from '../support/meters.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';

/** The settings of the environment, on the shipped flows. */
describe('MQTT_USE_TLS towards an external broker', function () {
  this.timeout(150_000);
  let database: TestDatabase;
  let folder: CertificateFolder;
  let mosquitto: Mosquitto;
  let own: { readonly certFile: string; readonly keyFile: string };
  let gateway: Appliance | undefined;

  before(async () => {
    database = await createTestDatabase();
    folder = await createCertificateFolder();
    own = folder.write('gateway', await folder.authority.device('gateway'));
    mosquitto = await startMosquitto({ tls: folder });
  });
  afterEach(async () => {
    await gateway?.stop();
    gateway = undefined;
  });
  after(async () => {
    await mosquitto?.remove();
    folder?.remove();
    await database?.drop();
  });

  async function start(ca: string): Promise<Appliance> {
    gateway = await startAppliance({
      env: {
        DATABASE_URL: database.url,
        MQTT_BROKER_HOST: 'localhost',
        MQTT_BROKER_PORT: String(mosquitto.port),
        MQTT_USE_TLS: 'true',
        MQTT_TLS_CA: ca,
        MQTT_TLS_CERT: own.certFile,
        MQTT_TLS_KEY: own.keyFile,
        INSTANCE_ID: 'tls',
        VIRTUAL_METERS: '0',
        LOG_FORMAT: 'json',
      },
    });
    return gateway;
  }

  it('trusts the authority of MQTT_TLS_CA, shows MQTT_TLS_CERT, and stores what comes', async () => {
    const { port } = await start(folder.caFile);
    const [meter] = await registerMeters(port, 'TLS', 1);
    const client = await connectAsync(`mqtts://localhost:${mosquitto.port}`, {
      ca: readFileSync(folder.caFile),
      cert: readFileSync(own.certFile),
      key: readFileSync(own.keyFile),
    });
    const reading = { kwh_amount: 1.25, reading_timestamp: Date.now() };
    await eventually(() => assert.match(gateway?.output() ?? '', /Connected to broker/));
    await client.publishAsync(`meters/${meter?.meterId}/readings`, JSON.stringify(reading), { qos: 1 });
    await client.endAsync();
    await eventually(async () => {
      const { rows } = await database.database.query({ text: 'select meter_id from meter_readings' });
      assert.deepEqual(rows, [{ meter_id: meter?.meterId }]);
    });
    assert.equal((await fetch(`${gateway?.url}/readyz`)).status, 200);
  });

  it('does not connect to a broker of another authority, and says so in the log', async () => {
    const stranger = folder.write('stranger', await createAuthority('Somebody else'));
    await start(stranger.certFile);
    await eventually(() =>
      assert.match(
        gateway?.output() ?? '',
        /Not connected to broker localhost:\d+: the broker's certificate is not trusted: self-signed certificate/,
      ),
    );
    assert.doesNotMatch(gateway?.output() ?? '', /Connected to broker/);
  });
});

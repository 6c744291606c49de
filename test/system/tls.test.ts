import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { listens } from '../../src/operation/health.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { registerMeter, storedTimes } from '../support/meters.js';
import { freePort } from '../support/ports.js';

const run = promisify(execFile);

describe('npm start with certificates', function () {
  this.timeout(120_000);
  let folder: CertificateFolder;
  let appliance: Appliance;
  let tlsPort: number;
  let wsPort: number;

  const tlsEnvironment = () => ({
    MQTT_TLS_PORT: String(tlsPort),
    MQTT_TLS_CERT: folder.certFile,
    MQTT_TLS_KEY: folder.keyFile,
    MQTT_TLS_CA: folder.caFile,
    MQTT_ALLOW_PLAINTEXT: 'false',
  });

  before(async () => {
    folder = await createCertificateFolder();
    tlsPort = await freePort();
    wsPort = await freePort();
    appliance = await startAppliance({
      env: { ...tlsEnvironment(), MQTT_WS_PORT: String(wsPort), VIRTUAL_METERS: '2', MOCK_SYNC: 'on' },
    });
  });
  after(async () => {
    await appliance.stop();
    folder.remove();
  });

  it('prints the addresses, opens no plain port, and is ready [C-1]', async () => {
    assert.match(appliance.output(), new RegExp(`mqtts://127\\.0\\.0\\.1:${tlsPort}`));
    assert.match(appliance.output(), new RegExp(`wss://127\\.0\\.0\\.1:${wsPort}`));
    assert.doesNotMatch(appliance.output(), /mqtt:\/\//);
    assert.equal(await listens('127.0.0.1', appliance.mqttPort), false);
    await eventually(async () => assert.equal((await fetch(`${appliance.url}/readyz`)).status, 200));
  });

  it('lets its own flows and virtual meters in, which trust exactly this certificate', async () => {
    await eventually(async () => assert.ok((await storedTimes(appliance.port, 'DEMO-02')).size > 90), {
      timeoutMs: 30_000,
    });
  });

  it('lets the mocks of devices in', async () => {
    await eventually(async () => {
      const answer = await fetch(`${appliance.url}/devices?mock=true`);
      const { data } = (await answer.json()) as { data: { online: boolean }[] };
      assert.deepEqual(
        data.map(({ online }) => online),
        [true, true],
      );
    });
  });

  it('stores what a device with a certificate sends, by mosquitto_pub and over WebSocket', async () => {
    const { meterId } = await registerMeter(appliance.port, 'CERTIFIED');
    const issued = await folder.authority.device(meterId);
    const { certFile, keyFile } = folder.write(meterId, issued);
    const newest = Math.floor(Date.now() / 900_000) * 900;
    const message = (seconds: number) => JSON.stringify({ kwh_amount: 0.25, reading_timestamp: seconds });
    const topic = `meters/${meterId}/readings`;
    await run(
      'mosquitto_pub',
      `-h localhost -p ${tlsPort} --cafile ${folder.caFile} --cert ${certFile} --key ${keyFile} -q 1 -i ${meterId}`
        .split(' ')
        .concat('-t', topic, '-m', message(newest)),
    );
    const client = await connectAsync(`wss://localhost:${wsPort}/mqtt`, {
      ca: folder.authority.cert,
      cert: issued.cert,
      key: issued.key,
      clientId: meterId,
    });
    await client.publishAsync(topic, message(newest - 900), { qos: 1 });
    await client.endAsync();
    assert.equal((await storedTimes(appliance.port, meterId)).size, 2);
  });

  it('names a busy port and its variable, and files that do not fit [C-4]', async () => {
    const busy = createServer();
    const port = await new Promise<number>((resolve) =>
      busy.listen(0, '127.0.0.1', () => resolve((busy.address() as { port: number }).port)),
    );
    const failing = async (env: Record<string, string>): Promise<string> => {
      const other = await startAppliance({ env: { ...tlsEnvironment(), ...env }, wait: false });
      assert.equal(await other.waitForExit(), 1);
      await other.stop();
      return other.output();
    };
    assert.match(
      await failing({ MQTT_TLS_PORT: String(port) }),
      new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is in use.*MQTT_TLS_PORT`),
    );
    assert.match(
      await failing({ MQTT_TLS_PORT: String(await freePort()), MQTT_WS_PORT: String(port) }),
      new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is in use.*MQTT_WS_PORT`),
    );
    busy.close();
    const other = folder.write('other', await folder.authority.server(['other']));
    assert.match(await failing({ MQTT_TLS_KEY: other.keyFile }), /is not the key/);
  });
});

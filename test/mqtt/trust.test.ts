import assert from 'node:assert/strict';
import { createAuthority } from '../../scripts/certificates/authority.js';
import { openMqttLink, type MqttLinkOptions } from '../../src/mqtt/link.js';
import { as, startTestBroker } from '../support/broker.js';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';

const none = { caFile: '', certFile: '', keyFile: '', pinnedFile: '' };
const message = {
  topic: 'smartmeter/METER001/command/balance',
  payload: '{}',
  qos: 1,
  retain: false,
} as const;

describe('Whose certificate a client of ours takes for the broker’s', () => {
  let folder: CertificateFolder;

  before(async () => {
    folder = await createCertificateFolder();
  });
  after(() => folder.remove());

  function link(port: number, more: Partial<MqttLinkOptions>): ReturnType<typeof openMqttLink> {
    const { user: username, password } = as('backend');
    return openMqttLink({
      host: 'localhost',
      port,
      tls: true,
      clientId: 'link',
      username,
      password,
      ...more,
    });
  }

  it('our own broker’s is exactly the one of the file, whatever its names, also after a renewal', async () => {
    const { certFile, keyFile } = folder.write('own', await folder.authority.server(['meters.example.com']));
    const { broker, sink } = await startTestBroker({}, { port: null, tls: { port: 0, certFile, keyFile } });
    const ours = link(broker.port, { host: '127.0.0.1', trust: { ...none, pinnedFile: certFile } });
    try {
      await ours.publish(message);
      folder.write('own', await folder.authority.server(['renewed.example.com']));
      // The broker has taken it when it shows it; the old one would be refused then.
      await eventually(async () => {
        broker.closeSessions('backend', 'closed');
        await ours.publish(message);
        assert.ok(sink.of('connected').length > 3);
      });
    } finally {
      await ours.close();
      await broker.close({ drainMs: 0 });
    }
  });

  describe('with Mosquitto', () => {
    let mosquitto: Mosquitto;

    before(async () => {
      mosquitto = await startMosquitto({ tls: folder });
    });
    after(() => mosquitto.remove());

    it('another broker’s is one of the CA, and it gets ours when it asks', async () => {
      const own = folder.write('gateway', await folder.authority.device('gateway'));
      const good = link(mosquitto.port, { trust: { ...none, caFile: folder.caFile, ...own } });
      await good.publish(message);
      await good.close();
    });

    it('of another CA, and without ours, nothing is sent, and the failure says why', async () => {
      const own = folder.write('gateway', await folder.authority.device('gateway'));
      const stranger = folder.write('stranger', await createAuthority('Somebody else'));
      const untrusted =
        /: the broker's certificate is not trusted: self-signed certificate in certificate chain\.$/;
      for (const [trust, why] of [
        [{ ...none, ...own }, untrusted],
        [{ ...none, caFile: stranger.certFile, ...own }, untrusted],
        [{ ...none, caFile: folder.caFile }, /: the broker wants a certificate of us\.$/],
      ] as const) {
        const bad = link(mosquitto.port, { trust, timeoutMs: 500 });
        await assert.rejects(bad.publish(message), { code: 'BROKER_UNAVAILABLE', message: why });
        await bad.close();
      }
    });
  });
});

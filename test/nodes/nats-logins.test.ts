import { strict as assert } from 'node:assert';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { natsOperator, natsUser } from '../support/nats-login.js';
import { freePort } from '../support/ports.js';
import { natsHouse, type NatsHouse } from './nats-house.js';

interface Way {
  readonly title: string;
  readonly config: (folder: string) => string;
  /** Of the node, and its credentials. */
  readonly node?: (house: NatsHouse) => object;
  readonly login?: object;
  readonly wrong: { readonly node?: (house: NatsHouse) => object; readonly login?: object };
}

const key = natsUser();
const operator = natsOperator();

const ways: Way[] = [
  {
    title: 'user and password',
    config: () => 'authorization { user: meterflow, password: "a%b @c" }',
    login: { user: 'meterflow', password: 'a%b @c' },
    wrong: { login: { user: 'meterflow', password: 'wrong' } },
  },
  {
    title: 'user and password in the address',
    config: () => 'authorization { user: meterflow, password: "a%b@c" }',
    node: ({ nats }) => ({ url: `nats://meterflow:a%25b%40c@127.0.0.1:${nats.port}` }),
    wrong: { node: ({ nats }) => ({ url: `nats://meterflow:wrong@127.0.0.1:${nats.port}` }) },
  },
  {
    title: 'a token',
    config: () => 'authorization { token: "s3cr3t" }',
    login: { token: 's3cr3t' },
    wrong: { login: { token: 'wrong' } },
  },
  {
    title: 'an nkey',
    config: () => `authorization { users: [ { nkey: ${key.publicKey} } ] }`,
    login: { nkey: key.seed },
    wrong: { login: { nkey: natsUser().seed } },
  },
  {
    title: 'a credentials file',
    config: (folder) => {
      writeFileSync(join(folder, 'user.creds'), operator.creds);
      writeFileSync(join(folder, 'other.creds'), natsOperator().creds);
      return operator.config;
    },
    node: ({ nats }) => ({ credsFile: join(nats.folder, 'user.creds') }),
    wrong: { node: ({ nats }) => ({ credsFile: join(nats.folder, 'other.creds') }) },
  },
];

describe('nats-forward logs in', function () {
  this.timeout(60_000);
  let house: NatsHouse | undefined;
  let certificates: CertificateFolder;

  before(async () => {
    certificates = await createCertificateFolder();
  });
  after(() => certificates.remove());
  afterEach(async () => {
    const used = house;
    house = undefined;
    await used?.remove();
  });

  for (const { title, config, node, login, wrong } of ways) {
    it(`with ${title}; with another one it says so, and nothing is lost until it is right`, async () => {
      const one = (house = await natsHouse(config));
      const refused = await one.start(wrong.node?.(one), wrong.login);
      await eventually(() => {
        assert.equal(refused.status('nats').fill, 'red');
        assert.match(refused.status('nats').text ?? '', /^NATS away · backlog 0 · .*[Aa]uthorization/);
      });
      const client = await one.connect();
      await client.publishAsync(`devices/${one.device.id}/log`, 'patient', { qos: 1 });
      await one.stop();
      const running = await one.start(node?.(one), login);
      await eventually(() => assert.ok(forwardedBy(running) >= 1));
      await eventually(() => assert.match(running.status('nats').text ?? '', /^connected .* backlog 0 /));
    });
  }

  it('over TLS with a CA of ours and a certificate that the server asks for; without them it says why', async () => {
    const { authority, caFile } = certificates;
    const client = certificates.write('forwarder', await authority.device('forwarder'));
    const one = (house = await natsHouse((folder) => {
      for (const [name, file] of Object.entries({
        'ca.pem': caFile,
        'cert.pem': certificates.certFile,
        'key.pem': certificates.keyFile,
      }))
        copyFileSync(file, join(folder, name));
      return `tls { cert_file: "${folder}/cert.pem", key_file: "${folder}/key.pem", ca_file: "${folder}/ca.pem", verify: true }`;
    }));
    const url = `tls://127.0.0.1:${one.nats.port}`;
    for (const node of [{ url }, { url, caFile }]) {
      const refused = await one.start(node);
      await eventually(() => {
        assert.equal(refused.status('nats').fill, 'red');
        assert.match(refused.status('nats').text ?? '', /certificate/i);
      });
      await one.stop();
    }
    const running = await one.start({ url, caFile, ...client });
    const device = await one.connect();
    await device.publishAsync(`devices/${one.device.id}/log`, 'secret', { qos: 1 });
    await eventually(() => assert.equal(forwardedBy(running), 1));
  });

  it('over WebSocket', async () => {
    const port = await freePort();
    const one = (house = await natsHouse(() => `websocket { listen: "127.0.0.1:${port}", no_tls: true }`));
    const running = await one.start({ url: `ws://127.0.0.1:${port}` });
    const device = await one.connect();
    await device.publishAsync(`devices/${one.device.id}/log`, 'web', { qos: 1 });
    await eventually(() => assert.equal(forwardedBy(running), 1));
  });

  it('at the server that is there, of several', async () => {
    const one = (house = await natsHouse());
    const nobody = await freePort();
    const running = await one.start({ url: `nats://127.0.0.1:${nobody}, ${one.nats.url}` });
    const device = await one.connect();
    await device.publishAsync(`devices/${one.device.id}/log`, 'found', { qos: 1 });
    await eventually(() => assert.equal(forwardedBy(running), 1));
  });
});

function forwardedBy(running: Awaited<ReturnType<NatsHouse['start']>>): number {
  return running
    .received('forwarded')
    .reduce((sum, { payload }) => sum + (payload as { messages: number }).messages, 0);
}

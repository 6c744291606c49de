import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCertificateFolder, type CertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { caller, startMockHouse, type MockHouse } from './mock-house.js';

const none = { caFile: '', certFile: '', keyFile: '', pinnedFile: '' };

describe('Mocks over TLS', () => {
  let folder: CertificateFolder;
  let house: MockHouse;
  before(async () => {
    folder = await createCertificateFolder();
    const { certFile, keyFile } = folder;
    house = await startMockHouse({ tls: { port: 0, certFile, keyFile } });
    for (const type of ['hvac', 'meter']) await house.registry.create({ type }, caller);
  });
  after(async () => {
    await house.close();
    folder.remove();
  });

  function world(trust: Partial<typeof none>) {
    const port = house.broker.broker.ports.mqtts ?? assert.fail('no port of MQTTS');
    return house.world({
      broker: {
        host: '127.0.0.1',
        port,
        tls: true,
        trust: { ...none, ...trust },
        clientId: 'test',
        username: 'backend',
        password: 'secret of backend',
      },
    });
  }

  it('trust our own broker by its very certificate, and another one by its CA', async () => {
    for (const trust of [{ pinnedFile: folder.certFile }, { caFile: folder.caFile }]) {
      const mocks = world(trust);
      await eventually(() => assert.deepEqual([mocks.state.online, mocks.state.deaf], [2, null]));
      await mocks.stop(false);
    }
  });

  it('tell nothing to a broker that they do not trust, until its certificate is there', async () => {
    const other = folder.write('other', await folder.authority.server(['localhost']));
    const pinnedFile = join(folder.certFile, '../pinned.crt');
    copyFileSync(other.certFile, pinnedFile);
    const before = house.broker.sink.of('connected').length;
    const mocks = world({ pinnedFile });
    await eventually(() => assert.match(mocks.state.reason ?? '', /certificate/));
    await eventually(() => assert.match(mocks.state.deaf ?? '', /certificate/));
    assert.deepEqual([mocks.state.mocks, mocks.state.online], [2, 0]);
    assert.equal(house.broker.sink.of('connected').length, before);
    copyFileSync(folder.certFile, pinnedFile);
    await eventually(() => assert.deepEqual([mocks.state.online, mocks.state.deaf], [2, null]), {
      timeoutMs: 25_000,
    });
  });

  it('say what is wrong when a file cannot be read', async () => {
    const mocks = world({ caFile: join(folder.caFile, 'missing') });
    await eventually(() => assert.match(mocks.state.deaf ?? '', /ENOTDIR|ENOENT/));
    await eventually(() => assert.match(mocks.state.reason ?? '', /ENOTDIR|ENOENT/));
  });
});

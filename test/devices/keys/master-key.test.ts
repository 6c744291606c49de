import assert from 'node:assert/strict';
import { createDeviceKeys } from '../../../src/devices/keys/device-keys.js';
import { createKeyring } from '../../../src/devices/keys/keyring.js';
import { agreeOnMasterKey, changeMasterKey } from '../../../src/devices/keys/master-key-check.js';
import { masterKey } from '../../../src/devices/keys/master-key.js';
import { createRegistry } from '../../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

const first = masterKey('11'.repeat(32));
const other = masterKey('22'.repeat(32));
const caller = { name: 'test' };
const refused = { code: 'CONFIGURATION', message: /another MASTER_KEY/ };

describe('the MASTER_KEY of a database', () => {
  let test: TestDatabase;

  beforeEach(async () => {
    test = await createTestDatabase();
  });
  afterEach(() => test.drop());

  async function registerMeter(meter_id: string): Promise<string> {
    await createRegistry(test.database).create({ meter_id, type: 'meter' }, caller);
    const key = { meter_id, algorithm: 'hmac-sha256' };
    const { secret = '' } = await createDeviceKeys(test.database, first).register(key, caller);
    return secret;
  }

  /** As hex; null: the secret does not open. */
  async function secretUnder(key: typeof first, meterId: string): Promise<string | null> {
    const keyring = createKeyring(test.database, key);
    try {
      const found = await keyring.load([meterId], { signal: AbortSignal.timeout(5_000) });
      const [known] = found.get(meterId)?.keys ?? [];
      assert.equal(known?.algorithm, 'hmac-sha256');
      return known.secret?.export().toString('hex') ?? null;
    } finally {
      await keyring.close();
    }
  }

  it('is that of the first start, also when two start at once', async () => {
    const starts = await Promise.allSettled([
      agreeOnMasterKey(test.database, first),
      agreeOnMasterKey(test.database, other),
    ]);
    assert.deepEqual(starts.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const [winner, loser] = starts[0].status === 'fulfilled' ? [first, other] : [other, first];
    await agreeOnMasterKey(test.database, winner);
    await assert.rejects(agreeOnMasterKey(test.database, loser), refused);
  });

  it('is the one that opens the secrets that are there already', async () => {
    await registerMeter('SEALED');
    await assert.rejects(agreeOnMasterKey(test.database, other), refused);
    await agreeOnMasterKey(test.database, first);
    await assert.rejects(agreeOnMasterKey(test.database, other), refused);
  });

  it('can be changed: every secret opens under the new one only, and the old one starts no more', async () => {
    const secret = await registerMeter('CHANGED-1');
    await registerMeter('CHANGED-2');
    await agreeOnMasterKey(test.database, first);
    assert.equal(await changeMasterKey(test.database, { from: first, to: other }, caller), 2);
    assert.equal(await secretUnder(other, 'CHANGED-1'), secret);
    assert.equal(await secretUnder(first, 'CHANGED-1'), null);
    await agreeOnMasterKey(test.database, other);
    await assert.rejects(agreeOnMasterKey(test.database, first), refused);
  });

  it('is not changed by somebody who does not know it', async () => {
    const secret = await registerMeter('KEPT');
    const guess = masterKey('33'.repeat(32));
    // Neither before a start has noted it nor after.
    const change = () => changeMasterKey(test.database, { from: guess, to: other }, caller);
    await assert.rejects(change, { code: 'CONFIGURATION' });
    await agreeOnMasterKey(test.database, first);
    await assert.rejects(change, refused);
    assert.equal(await secretUnder(first, 'KEPT'), secret);
  });
});

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { backendAccount, ensureAccount } from '../../src/devices/accounts.js';
import { createDirectory } from '../../src/devices/principals.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const run = promisify(execFile);
const script = join(__dirname, '../../scripts/account.ts');

describe('service accounts', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());

  it('are made by `npm run account -- add`, which shows the password once [M-12]', async () => {
    const args = [
      '--require',
      'tsx/cjs',
      script,
      'add',
      'reader',
      '--read',
      'devices/+/#',
      '--read',
      'energy/#',
    ];
    const { stdout } = await run(process.execPath, args, { env: { ...process.env, DATABASE_URL: test.url } });
    const password = /password {2}(\S+)/.exec(stdout)?.[1] ?? '';
    const directory = createDirectory(test.database);
    assert.deepEqual(await directory.authenticate('reader', password), {
      kind: 'account',
      user: 'reader',
      may_read: ['devices/+/#', 'energy/#'],
      may_write: [],
    });
    await directory.close();
  });

  it('refuse what is no topic filter', async () => {
    for (const filter of ['', 'a/#/b', 'a+/b', 'a/b#', 'a\u0000'])
      await assert.rejects(
        ensureAccount(test.database, { name: 'x', may_read: [filter], may_write: [] }, 'secret', {
          name: 'test',
        }),
        { code: 'SCHEMA_INVALID' },
      );
  });

  it('never let the backend speak for a meter [M-12]', () => {
    for (const filter of backendAccount.may_write)
      assert.match(filter, /command\/#$|^energy\/events\/devices\/#$/);
  });
});

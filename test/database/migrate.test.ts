import assert from 'node:assert/strict';
import { migrate } from '../../src/database/migrate.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('migrate', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());

  it('has nothing to do on a database that is up to date', async () => {
    assert.deepEqual(await migrate(test.database), []);
  });
});

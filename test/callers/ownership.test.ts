import { strict as assert } from 'node:assert';
import { findOwners } from '../../src/callers/owner-store.js';
import { createOwnership } from '../../src/callers/ownership.js';
import { createRegistry } from '../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { personOf } from './house.js';

describe('Whose meters are named', () => {
  let test: TestDatabase;
  let mine: string;
  let yours: string;
  let device: string;
  before(async () => {
    test = await createTestDatabase();
    const registry = createRegistry(test.database);
    mine = await personOf(test.database);
    yours = await personOf(test.database);
    const add = async (meter_id: string, user_id?: string, drn?: string): Promise<string> => {
      const input = { type: 'meter', meter_id, ...(user_id ? { user_id } : {}), ...(drn ? { drn } : {}) };
      return (await registry.create(input, { name: 'test' })).device.id;
    };
    device = await add('MINE-1', mine, '09000030529');
    await add('MINE-2', mine);
    await add('YOURS', yours);
    await add('NOBODYS');
  });
  after(() => test.drop());

  it('is found by meter_id, drn and device id, many at once', async () => {
    const { owns } = createOwnership((names) => findOwners(test.database, names));
    assert.equal(await owns(mine, ['MINE-1', '09000030529', device, 'MINE-2']), true);
    assert.equal(await owns(mine, ['MINE-1', 'YOURS']), false);
    for (const name of ['YOURS', 'NOBODYS', 'UNKNOWN', 'mine-1'])
      assert.equal(await owns(mine, [name]), false);
    assert.equal(await owns(mine, []), false);
  });

  it('is asked for once a second, and then is anew', async () => {
    let now = 0;
    let asked: string[] = [];
    const owners = new Map([['A', mine as string | null]]);
    const { owns } = createOwnership(
      (names) => {
        asked = [...asked, ...names];
        return Promise.resolve(owners);
      },
      { now: () => now },
    );
    assert.equal(await owns(mine, ['A']), true);
    now = 999;
    assert.equal(await owns(mine, ['A', 'B']), false);
    assert.deepEqual(asked, ['A', 'B']);
    owners.set('A', yours);
    now = 1000;
    assert.equal(await owns(mine, ['A']), false);
    assert.deepEqual(asked, ['A', 'B', 'A']);
  });

  it('is remembered of so many names only, and right all the same', async () => {
    const { owns } = createOwnership((names) => Promise.resolve(new Map(names.map((name) => [name, mine]))), {
      namesMax: 2,
      now: () => 0,
    });
    const names = ['A', 'B', 'C', 'D'];
    assert.equal(await owns(mine, names), true);
    assert.equal(await owns(mine, ['D', 'E']), true);
    assert.equal(await owns(yours, ['A', 'E']), false);
  });
});

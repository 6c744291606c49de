import assert from 'node:assert/strict';

import { type Broker, startBroker } from '../../src/broker/broker.js';
import type { Directory } from '../../src/broker/directory.js';
import { createMemoryDirectory } from '../../src/broker/memory-directory.js';
import { hashSecret } from '../../src/devices/credentials.js';
import { createDirectory } from '../../src/devices/principals.js';
import { KeepingSink, device } from '../support/broker.js';
import { Crowd } from '../support/crowd.js';
import type { LoginOrder } from '../support/crowd-process.js';
import { type TestDatabase, createTestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import type { Login } from '../support/mqtt-wire.js';

const meters = 2_000;
const names = Array.from({ length: meters }, (_, n) => `METER-${n}`);
/** Every other one has a stored session. */
const logins = names.map((name, n): Login => ({
  id: name,
  user: name,
  password: 'secret',
  clean: n % 2 === 0,
}));

const ways: [string, LoginOrder['before']][] = [
  ['for the first time', 'cut'],
  ['after all were cut', 'cut'],
  ['after all were reset', 'reset'],
  ['while the broker still thinks them connected', 'stay'],
  ['after the network broke just as they logged in', 20],
  ['after the network broke in the middle of their logins', 200],
];

/** 10,000 meters dropped at once are back within 60 s; nobody is sent away meanwhile. */
describe('Thousands of meters that come at once', function () {
  this.timeout(120_000);

  describe('to a directory in memory', () => {
    comesBack(async () => {
      const directory = createMemoryDirectory();
      for (const name of names) directory.add(device(name), 'secret');
      return { directory, close: async () => {} };
    });
  });

  describe('to the registry in the database', () => {
    comesBack(async () => {
      const test = await createTestDatabase();
      await register(test);
      const directory = createDirectory(test.database, { deadlineMs: 30_000 });
      return {
        directory,
        async close() {
          await directory.close();
          await test.drop();
        },
      };
    });
  });
});

interface Opened {
  readonly directory: Directory;
  readonly close: () => Promise<void>;
}

function comesBack(open: () => Promise<Opened>): void {
  const sink = new KeepingSink();
  let broker: Broker;
  let crowd: Crowd;
  let opened: Opened;

  before(async () => {
    opened = await open();
    broker = await startBroker({ host: '127.0.0.1', port: 0, directory: opened.directory, sink });
    crowd = await Crowd.start(broker.port, 1);
  });

  after(async () => {
    crowd.end();
    await broker.close({ drainMs: 0 });
    await opened.close();
  });

  for (const [when, way] of ways) {
    it(`lets each of them in, ${when}`, async () => {
      assert.deepEqual(await crowd.logIn(logins, way), { 'CONNACK 0': meters });
      await eventually(() => assert.equal(broker.stats().clients, meters));
    });
  }
}

/** As the registry would, in one statement. */
async function register({ database }: TestDatabase): Promise<void> {
  await database.query({
    text: `insert into devices (meter_id, type, mqtt_user, password_hash)
           select name, 'meter', name, $2::bytea from unnest($1::text[]) as given (name)`,
    values: [names, hashSecret('secret')],
  });
}

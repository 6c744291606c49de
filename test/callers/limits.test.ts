import { strict as assert } from 'node:assert';
import { mock } from 'node:test';
import type { LimitStore } from '../../src/callers/limit-counter.js';
import { openLimitStore } from '../../src/callers/limit-store.js';
import { deleteOver } from '../../src/callers/limit-table.js';
import { createLimits, type GuardLimits, type LimitOptions, type Rates } from '../../src/callers/limits.js';
import { DomainError } from '../../src/errors.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startRedis, type RedisServer } from '../support/redis.js';

const memory: LimitStore = { kind: 'memory' };
const none: Rates = { perAddress: null, perCaller: null, perDevice: null };
const begin = Date.UTC(2026, 10, 21, 12);

function guardOf(rates: Partial<Rates>, options: Partial<LimitOptions> = {}): GuardLimits {
  return createLimits({ ...none, failuresPerAddress: null, store: memory, ...options }).ofGuard('g', rates);
}

/** Null: admitted; else when to come back. */
async function tried(attempt: () => Promise<void> | void): Promise<number | null> {
  try {
    await attempt();
    return null;
  } catch (error) {
    assert.ok(error instanceof DomainError && error.code === 'RATE_LIMITED');
    return error.retryAfterSeconds ?? 0;
  }
}

async function triedTimes(times: number, attempt: () => Promise<void> | void): Promise<(number | null)[]> {
  const answers: (number | null)[] = [];
  for (let at = 0; at < times; at += 1) answers.push(await tried(attempt));
  return answers;
}

describe('Limits of requests', () => {
  afterEach(() => mock.timers.reset());

  it('hold for a minute that begins with the first request', async () => {
    mock.timers.enable({ apis: ['Date'], now: begin });
    const limits = guardOf({ perCaller: 2 });
    const call = (): Promise<void> | void => limits.caller('amina');
    assert.equal(await tried(call), null);
    mock.timers.setTime(begin + 30_000);
    assert.deepEqual(await triedTimes(2, call), [null, 30]);
    mock.timers.setTime(begin + 59_999);
    assert.equal(await tried(call), 1);
    mock.timers.setTime(begin + 60_000);
    assert.deepEqual(await triedTimes(3, call), [null, null, 60]);
  });

  it('are of each caller, address and meter by itself', async () => {
    const limits = guardOf({ perCaller: 1, perAddress: 1, perDevice: 1 });
    assert.deepEqual(await triedTimes(2, () => limits.caller('amina')), [null, 60]);
    assert.equal(await tried(() => limits.caller('juma')), null);
    assert.deepEqual(await triedTimes(2, () => limits.address('192.0.2.1')), [null, 60]);
    assert.equal(await tried(() => limits.address('::ffff:192.0.2.1')), 60);
    assert.equal(await tried(() => limits.address('192.0.2.2')), null);
    assert.equal(await tried(() => limits.address('2001:db8::1')), null);
    assert.equal(await tried(() => limits.address('2001:db8::ffff:1')), 60);
    assert.equal(await tried(() => limits.address('2001:db8:0:1::1')), null);
    assert.deepEqual(await triedTimes(2, () => limits.devices(['METER001'])), [null, 60]);
    assert.equal(await tried(() => limits.devices(['METER002'])), null);
  });

  it('count a batch once for each of its meters, and refuse it for one that has spent all', async () => {
    const limits = guardOf({ perDevice: 2 });
    assert.equal(await tried(() => limits.devices(['A', 'B'])), null);
    assert.equal(await tried(() => limits.devices(['B', 'C'])), null);
    assert.equal(await tried(() => limits.devices(['C', 'B'])), 60);
    assert.equal(await tried(() => limits.devices(['A', 'D'])), null);
  });

  it('are shared by the guards that have none of their own', async () => {
    const limits = createLimits({ ...none, perCaller: 2, failuresPerAddress: null, store: memory });
    const [one, other] = [limits.ofGuard('one', {}), limits.ofGuard('other', {})];
    const own = limits.ofGuard('own', { perCaller: 1 });
    const free = limits.ofGuard('free', { perCaller: null });
    assert.equal(await tried(() => one.caller('amina')), null);
    assert.deepEqual(await triedTimes(2, () => own.caller('amina')), [null, 60]);
    assert.equal(await tried(() => other.caller('amina')), null);
    assert.equal(await tried(() => one.caller('amina')), 60);
    assert.deepEqual(await triedTimes(9, () => free.caller('amina')), Array(9).fill(null));
  });

  it('of failed logins shut an address out, whatever it sends next, until its minute is over', async () => {
    mock.timers.enable({ apis: ['Date'], now: begin });
    const { failures } = createLimits({ ...none, failuresPerAddress: 20, store: memory });
    const look =
      (address: string): (() => void) =>
      () =>
        failures.admit(address);
    for (let at = 0; at < 19; at += 1) await failures.count('192.0.2.1');
    assert.equal(await tried(look('192.0.2.1')), null);
    mock.timers.setTime(begin + 10_000);
    await failures.count('192.0.2.1');
    assert.equal(await tried(look('192.0.2.1')), 50);
    assert.equal(await tried(look('192.0.2.2')), null);
    mock.timers.setTime(begin + 60_000);
    assert.equal(await tried(look('192.0.2.1')), null);
    await failures.count('192.0.2.1');
    assert.equal(await tried(look('192.0.2.1')), null);
  });

  it('can be lifted for failed logins', async () => {
    const { failures } = createLimits({ ...none, failuresPerAddress: null, store: memory });
    for (let at = 0; at < 100; at += 1) await failures.count(null);
    failures.admit(null);
  });

  describe('in PostgreSQL', () => {
    let test: TestDatabase;
    before(async () => {
      test = await createTestDatabase();
    });
    after(() => test.drop());
    const rows = async (): Promise<number> =>
      (await test.database.query({ text: 'select 1 from rate_limits' })).rowCount;

    it('are counted for all instances, end in time, and leave nothing behind', async () => {
      mock.timers.enable({ apis: ['Date'], now: begin });
      const open = (): GuardLimits => {
        const { store, close } = openLimitStore('postgres', { redis: null, database: test.database });
        after(close);
        return guardOf({ perCaller: 3 }, { store });
      };
      const [one, other] = [open(), open()];
      assert.deepEqual(await triedTimes(2, () => one.caller('amina')), [null, null]);
      mock.timers.setTime(begin + 20_000);
      assert.deepEqual(await triedTimes(2, () => other.caller('amina')), [null, 40]);
      assert.equal(await tried(() => one.caller('amina')), 40);
      mock.timers.setTime(begin + 60_001);
      assert.deepEqual(await triedTimes(2, () => other.caller('amina')), [null, null]);
      await deleteOver(test.database, begin + 120_001);
      assert.equal(await rows(), 1);
      await deleteOver(test.database, begin + 120_002);
      assert.equal(await rows(), 0);
    });

    it('hold when a hundred requests come at once', async () => {
      const store: LimitStore = { kind: 'postgres', session: test.database };
      const limits = guardOf({ perCaller: 30 }, { store });
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => tried(() => limits.caller('juma'))),
      );
      assert.equal(answers.filter((answer) => answer === null).length, 30);
    });

    it('are counted by each instance while the database is away', async () => {
      const told: (string | null)[] = [];
      let away = true;
      const session: TestDatabase['database'] = Object.create(test.database, {
        query: {
          value: (statement: never) =>
            away
              ? Promise.reject(new DomainError('DATABASE_UNAVAILABLE', 'It is away.'))
              : test.database.query(statement),
        },
      });
      const store: LimitStore = { kind: 'postgres', session };
      const limits = guardOf({ perCaller: 1 }, { store, onStore: (problem) => told.push(problem) });
      assert.deepEqual(await triedTimes(2, () => limits.caller('zuri')), [null, 60]);
      away = false;
      await eventually(async () => {
        await tried(() => limits.caller('zuri'));
        assert.deepEqual(told, ['It is away.', null]);
      });
    });
  });

  describe('in Redis', function () {
    this.timeout(30_000);
    let redis: RedisServer;
    before(async () => {
      redis = await startRedis();
    });
    after(() => redis?.remove());
    const closing: (() => void)[] = [];
    afterEach(() => closing.splice(0).forEach((close) => close()));

    const open = (told: (string | null)[] = []): GuardLimits => {
      const settings = { url: redis.url, password: null, caFile: null };
      const { store, close } = openLimitStore('auto', { redis: settings, database: null as never });
      closing.push(close);
      return guardOf({ perCaller: 3 }, { store, onStore: (problem) => told.push(problem) });
    };
    /** From then on it is Redis that counts. */
    const connected = (limits: GuardLimits, told: (string | null)[]): Promise<unknown> =>
      eventually(async () => {
        await tried(() => limits.caller(`probe ${Math.random()}`));
        return told.at(-1) === null || told.length === 0;
      });

    it('are counted for all instances', async () => {
      const told: (string | null)[][] = [[], []];
      const [one, other] = told.map((each) => open(each)) as [GuardLimits, GuardLimits];
      await Promise.all([connected(one, told[0] ?? []), connected(other, told[1] ?? [])]);
      assert.deepEqual(await triedTimes(2, () => one.caller('amina')), [null, null]);
      const [admitted, wait] = await triedTimes(2, () => other.caller('amina'));
      assert.equal(admitted, null);
      assert.ok(wait !== null && wait !== undefined && wait >= 50 && wait <= 60);
      assert.ok(((await tried(() => one.caller('amina'))) ?? 0) >= 50);
    });

    for (const { title, away, back } of [
      { title: 'is gone', away: () => redis.stop('SIGKILL'), back: () => redis.start() },
      { title: 'says nothing', away: async () => redis.freeze(), back: async () => redis.thaw() },
    ]) {
      it(`are counted by each instance while it ${title}, and for all when it is back`, async () => {
        const told: (string | null)[] = [];
        const limits = open(told);
        await connected(limits, told);
        told.length = 0;
        await away();
        const asked = performance.now();
        assert.deepEqual((await triedTimes(4, () => limits.caller(title))).slice(0, 3), [null, null, null]);
        assert.ok(performance.now() - asked < 5_000);
        assert.equal(told.length > 0 && told[0] !== null, true);
        await back();
        await eventually(
          async () => {
            await tried(() => limits.caller(`probe ${Math.random()}`));
            return told.at(-1) === null;
          },
          { timeoutMs: 25_000 },
        );
      });
    }
  });
});

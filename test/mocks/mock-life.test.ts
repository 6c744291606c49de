import assert from 'node:assert/strict';
import { mockPrefix } from '../../src/devices/mock-id.js';
import { MockLoad } from '../../src/mocks/mock-load.js';
import { quarterMs } from '../../src/mocks/load-profile.js';
import { eventually } from '../support/eventually.js';
import { caller, startMockHouse, type MockHouse } from './mock-house.js';

const hourMs = 3_600_000;

interface Register {
  readonly energy: number;
  readonly born: number;
  readonly at: number;
  readonly read: number | null;
}

describe('The life of a mock', () => {
  let house: MockHouse;
  /** How far the clock of the worlds is ahead of ours, ms. */
  let ahead = 0;
  const now = (): number => Date.now() + ahead;
  beforeEach(async () => {
    ahead = 0;
    house = await startMockHouse();
  });
  afterEach(() => house.close());

  const create = async (input: object) => (await house.registry.create(input, caller)).device;

  async function register(id: string): Promise<Register> {
    const [row] = await house.rows(
      `select (energy_kwh * 10000)::float8 as energy,
              round(extract(epoch from born_at) * 1000)::float8 as born,
              round(extract(epoch from state_at) * 1000)::float8 as at,
              round(extract(epoch from read_until) * 1000)::float8 as read
         from mock_devices where id = $1`,
      id,
    );
    return row as unknown as Register;
  }

  it('goes on over restarts and kills without a jump: its register is the integral of its load', async () => {
    const real = await create({ type: 'industrial' });
    const id = mockPrefix + real.id;
    const load = new MockLoad({ seed: 1, id, type: 'industrial', base_power: null, base_voltage: null });
    const first = house.world({ now });
    await eventually(() => assert.equal(first.state.online, 1));
    ahead += 3 * hourMs + 1_234;
    await first.stop(false);
    const one = await register(id);
    assert.ok(one.at >= now() - 10_000 && one.energy > 0);
    assert.equal(one.energy, load.energyBetween(one.born, one.at));

    // A kill leaves the claim, and what was saved last.
    ahead += 50 * hourMs;
    const killed = house.world({ now, instance: 'killed', saveMs: 60_000_000, leaseMs: 400 });
    await eventually(() => assert.equal(killed.state.online, 1));
    ahead += 5 * hourMs;
    await house.rows(
      `update mock_world set held_by = 'somebody else', held_until = now() + interval '1 hour'`,
    );
    await eventually(() => assert.equal(killed.state.role, 'standby'));
    assert.deepEqual(await register(id), one, 'nothing was saved');
    await house.rows('delete from mock_world');
    const third = house.world({ now, instance: 'third' });
    await eventually(() => assert.equal(third.state.mocks + killed.state.mocks, 1));
    ahead += 10 * 24 * hourMs;
    await Promise.all([killed.stop(false), third.stop(false)]);
    const last = await register(id);
    assert.ok(last.at >= one.at + 15 * hourMs);
    assert.equal(last.energy, load.energyBetween(one.born, last.at));
  });

  it('is played by one process at a time; another takes over when that one is gone', async () => {
    const real = await create({ type: 'sensor' });
    const one = house.world({ instance: 'one', leaseMs: 600 });
    await eventually(() => assert.equal(one.state.online, 1));
    const two = house.world({ instance: 'two', leaseMs: 600 });
    await eventually(() => assert.deepEqual([two.state.role, two.state.holder], ['standby', 'one']));
    await assert.rejects(
      two.take([], '', AbortSignal.timeout(5_000)),
      /one plays the mocks of this database: events must reach it, or the broker/,
    );
    await one.stop(false);
    await eventually(() => assert.equal(two.state.online, 1));
    assert.deepEqual(
      (await house.mocks()).map(({ id }) => id),
      [mockPrefix + real.id],
    );
    // The next run of an instance that was killed does not wait for its own claim.
    await house.rows(
      `update mock_world set held_by = 'three ' || gen_random_uuid(), held_until = now() + interval '1 hour'`,
    );
    await eventually(() => assert.equal(two.state.role, 'standby'));
    const three = house.world({ instance: 'three' });
    await eventually(() => assert.equal(three.state.online, 1));
    assert.equal(two.state.mocks, 0);
  });

  it('of a meter sends a reading for each quarter of an hour until it is acknowledged, also over a restart', async () => {
    const real = await create({ type: 'meter' });
    const id = mockPrefix + real.id;
    const load = new MockLoad({ seed: 1, id, type: 'meter', base_power: null, base_voltage: null });
    house.broker.sink.settling = false;
    const world = house.world({ now });
    await eventually(() => assert.equal(world.state.online, 1));
    ahead += 26 * quarterMs;
    interface Sent {
      readonly meter_id: string;
      readonly kwh_amount: number;
      readonly reading_timestamp: string;
    }
    const sent = (): Sent[] =>
      house.broker.sink.deliveries
        .filter(({ topic }) => topic === `meters/${id}/readings`)
        .map(({ payload }) => JSON.parse(String(payload)) as Sent);
    // A window of 20 at a time; those that wait follow the acknowledgements.
    await eventually(() => assert.equal(sent().length, 20));
    await eventually(() => assert.ok(world.state.waiting >= 25));
    await world.stop(false);
    assert.equal((await register(id)).read, null, 'nothing was acknowledged');

    const again = house.world({ now });
    await eventually(() => assert.equal(sent().length, 40));
    assert.deepEqual(sent().slice(20), sent().slice(0, 20), 'the same readings');
    house.broker.sink.settling = true;
    house.broker.sink.settleAll();
    await eventually(() => assert.equal(again.state.waiting, 0));
    const all = new Map(sent().map((reading) => [Date.parse(reading.reading_timestamp), reading]));
    const { born } = await register(id);
    let end = Math.floor(born / quarterMs) * quarterMs + quarterMs;
    for (; end <= now() - 5_000; end += quarterMs) {
      const energy = load.energyBetween(Math.max(end - quarterMs, born), end);
      const reading = all.get(end);
      if (energy === 0) assert.equal(reading, undefined);
      else assert.deepEqual([reading?.meter_id, reading?.kwh_amount], [id, energy / 10_000]);
    }
    await again.stop(false);
    const { read } = await register(id);
    assert.ok(read !== null && read >= end - quarterMs, 'what was acknowledged is not sent again');
    const count = sent().length;
    const last = house.world({ now });
    await eventually(() => assert.equal(last.state.online, 1));
    await eventually(() => assert.ok(house.broker.sink.deliveries.at(-1)?.topic.endsWith('/telemetry')));
    assert.ok(sent().length <= count + 1);
  });

  it('sends no reading that is too big for one, and says so once', async () => {
    const real = await create({ type: 'meter', base_power: 1_000_000 });
    const world = house.world({ now });
    await eventually(() => assert.equal(world.state.online, 1));
    const told = () => house.lines.filter((line) => line.includes('more than 100 kWh'));
    ahead += 5 * quarterMs;
    await eventually(() => assert.equal(told().length, 1));
    ahead += 5 * quarterMs;
    const topic = `devices/${mockPrefix}${real.id}/telemetry`;
    const before = house.broker.sink.deliveries.length;
    await eventually(() =>
      assert.ok(house.broker.sink.deliveries.slice(before).filter((one) => one.topic === topic).length > 2),
    );
    assert.equal(told().length, 1);
    assert.ok(!house.broker.sink.deliveries.some((one) => one.topic.startsWith('meters/')));
  });

  it('takes over another type or base value from then on, with what it drew before', async () => {
    const real = await create({ type: 'server' });
    const id = mockPrefix + real.id;
    const world = house.world({ now });
    await eventually(() => assert.equal(world.state.online, 1));
    ahead += 24 * hourMs;
    await house.registry.update(real.id, { base_power: 1_000 }, caller);
    await house.publish((await house.logged(real.id)).slice(1));
    await eventually(() => assert.equal(house.changes.at(-1)?.effect, 'updated'));
    await eventually(() => assert.ok(world.state.power_kw > 500));
    const changed = now();
    await world.stop(false);
    const { energy, born, at } = await register(id);
    const load = new MockLoad({ seed: 1, id, type: 'server', base_power: null, base_voltage: null });
    const before = load.energyBetween(born, changed);
    const most = 1_000 * 10_000 * ((at - changed + 15_000) / hourMs);
    assert.ok(energy >= before * 0.999 && energy <= before + most, `${energy} beside ${before}`);
  });

  it('comes back by itself after its broker was away, each with its own password', async () => {
    for (const type of ['hvac', 'meter', 'sensor']) await create({ type });
    const world = house.world();
    await eventually(() => assert.equal(world.state.online, 3));
    for (const { id } of await house.mocks())
      await house.rows(`select pg_notify('registry_changed', $1)`, id);
    const connected = house.broker.sink.of('connected').length;
    await house.rows(`update devices set revoked_at = now() where mock`);
    await eventually(() => assert.deepEqual([world.state.online, world.state.mocks], [0, 3]));
    assert.notEqual(world.state.reason, null);
    await house.rows(`update devices set revoked_at = null where mock`);
    await eventually(() => assert.equal(world.state.online, 3), { timeoutMs: 20_000 });
    await eventually(() => assert.ok(house.broker.sink.of('connected').length >= connected + 3));
    assert.equal(world.state.reason, null);
  });
});

import assert from 'node:assert/strict';
import { mockPrefix } from '../../src/devices/mock-id.js';
import { eventually } from '../support/eventually.js';
import { caller, startMockHouse, type MockHouse } from './mock-house.js';

describe('The mocks of real devices', () => {
  let house: MockHouse;
  beforeEach(async () => {
    house = await startMockHouse();
  });
  afterEach(() => house.close());

  const create = async (input: object) => (await house.registry.create(input, caller)).device;

  it('appear, are renamed and vanish with their real devices, by the events over the broker', async () => {
    const world = house.world();
    await eventually(() => assert.deepEqual([world.state.role, world.state.deaf], ['playing', null]));
    const real = await create({ type: 'hvac', name: 'Roof', location: 'Kibera' });
    await house.publish(await house.logged(real.id));
    const id = mockPrefix + real.id;
    await eventually(async () =>
      assert.deepEqual(await house.mocks(), [{ id, name: 'Roof (mock)', type: 'hvac' }]),
    );
    await eventually(() => assert.equal(world.state.online, 1));
    assert.ok(house.lines.includes(`Created mock device ${id} for real device: ${real.id}`));
    const mock = await house.registry.get(id);
    assert.deepEqual([mock.meter_id, mock.mqtt_user, mock.mock, mock.location], [id, id, true, 'Kibera']);
    const [message] = await eventually(() => {
      const found = house.broker.sink.deliveries.filter(({ topic }) => topic === `devices/${id}/telemetry`);
      assert.ok(found.length > 0);
      return found;
    });
    const telemetry = JSON.parse(String(message?.payload)) as Record<string, unknown>;
    assert.deepEqual(Object.keys(telemetry), [
      'device_id',
      'timestamp',
      'power_kw',
      'voltage_v',
      'energy_kwh',
    ]);
    assert.equal(telemetry['device_id'], id);

    await house.registry.update(real.id, { name: 'Cellar', type: 'server' }, caller);
    await house.publish((await house.logged(real.id)).slice(1));
    await eventually(async () =>
      assert.deepEqual(await house.mocks(), [{ id, name: 'Cellar (mock)', type: 'server' }]),
    );
    await house.registry.remove(real.id, caller);
    await house.publish((await house.logged(real.id)).slice(2));
    await eventually(async () => assert.deepEqual(await house.mocks(), []));
    await eventually(() => assert.equal(house.broker.broker.stats().clients, 2));
    assert.deepEqual(
      house.changes.map(({ effect, real_id }) => [effect, real_id]),
      ['created', 'updated', 'deleted'].map((effect) => [effect, real.id]),
    );
    assert.deepEqual(
      (await house.logged()).map(({ device_id }) => device_id),
      [real.id, real.id, real.id],
      'mocks raise no events',
    );
  });

  it('stay as they are when events come twice, replayed or late', async () => {
    const world = house.world();
    await eventually(() => assert.equal(world.state.deaf, null));
    const real = await create({ type: 'sensor', name: 'a' });
    await house.registry.update(real.id, { name: 'b' }, caller);
    await house.registry.update(real.id, { name: 'c' }, caller);
    const other = await create({ type: 'sensor', name: 'other' });
    await house.registry.remove(other.id, caller);
    const log = await house.logged();
    await house.publish(log);
    const expected = [{ id: mockPrefix + real.id, name: 'c (mock)', type: 'sensor' }];
    await eventually(async () => assert.deepEqual(await house.mocks(), expected));
    await eventually(async () => {
      const gone = await house.rows('select real_id from mock_devices where gone');
      assert.deepEqual(gone, [{ real_id: other.id }]);
    });
    const before = await house.rows('select * from mock_devices order by real_id');
    // From the beginning, backwards, twice each.
    await house.publish([...log, ...log.toReversed(), ...log]);
    const last = await create({ type: 'sensor', name: 'last' });
    await house.publish(await house.logged(last.id));
    await eventually(async () => assert.equal((await house.mocks()).length, 2));
    await eventually(() => assert.equal(world.state.pending, 0));
    const text = 'select * from mock_devices where real_id <> $1 order by real_id';
    assert.deepEqual(await house.rows(text, last.id), before);
    const effects = house.changes.filter(({ real_id }) => real_id !== last.id).map(({ effect }) => effect);
    assert.ok(effects.length <= 3, `${effects.join(', ')}: nothing was made or ended again`);
  });

  it('are not made of a device that is deleted while its mock is being made', async () => {
    const world = house.world();
    await eventually(() => assert.equal(world.state.deaf, null));
    const made = await Promise.all(
      Array.from({ length: 50 }, (_, i) => create({ type: 'meter', name: `${i}` })),
    );
    const removals = made.map(({ id }) => house.registry.remove(id, caller));
    // Half of the events leave before the deletions are through, the others with them.
    await house.publish((await house.logged()).slice(0, 25));
    await Promise.all(removals);
    await house.publish(await house.logged());
    await eventually(async () => {
      const [count] = await house.rows(`select count(*)::int as gone from mock_devices where gone`);
      assert.deepEqual(count, { gone: 50 });
    });
    assert.deepEqual(await house.mocks(), []);
    await eventually(() => assert.deepEqual([world.state.mocks, world.state.online], [0, 0]));
  });

  it('catch up with 1,000 devices at a late start, and with what changed while nobody listened', async () => {
    await house.rows(
      `insert into devices (id, meter_id, mqtt_user, type, name, password_hash)
       select 'real-' || n, 'real-' || n, 'real-' || n, 'lighting', 'Lamp ' || n, '\\x00'
         from generate_series(1, 1000) n`,
    );
    const first = house.world();
    await eventually(() => assert.deepEqual([first.state.mocks, first.state.online], [1000, 1000]), {
      timeoutMs: 20_000,
    });
    await first.stop(false);
    await house.rows(`delete from devices where id in ('real-1', 'real-2')`);
    await house.rows(`update devices set name = 'Sun' where id = 'real-3'`);
    await create({ type: 'hvac', name: 'new' });
    house.changes.length = 0;
    const second = house.world();
    await eventually(() => assert.equal(second.state.mocks, 999));
    await eventually(() =>
      assert.deepEqual(house.changes.map(({ effect }) => effect).sort(), [
        'created',
        'deleted',
        'deleted',
        'updated',
      ]),
    );
    const named = await house.rows(`select name from devices where id = 'mock-real-real-3'`);
    assert.deepEqual(named, [{ name: 'Sun (mock)' }]);
    // What the log has of it all changes nothing any more.
    const marks = await house.rows('select real_id, last_event_at from mock_devices order by real_id');
    await house.publish((await house.logged()).slice(-100));
    await eventually(() => assert.equal(second.state.online, 999), { timeoutMs: 20_000 });
    await eventually(() => assert.equal(second.state.pending, 0));
    assert.deepEqual(
      await house.rows('select real_id, last_event_at from mock_devices order by real_id'),
      marks,
    );
    assert.equal(house.changes.length, 4);
  });

  it('are kept of devices that only events tell of, from any program, also over a restart', async () => {
    const world = house.world();
    await eventually(() => assert.equal(world.state.deaf, null));
    const event = {
      event_type: 'device.created',
      device_id: 'somebody-elses',
      timestamp: '2026-11-20T12:00:00.000001+00:00',
      device_data: {
        id: 'somebody-elses',
        name: null,
        type: 'Windmill!',
        base_power: 7.5,
        base_voltage: 400,
      },
      metadata: { source: 'another program' },
    };
    await house.publish([event]);
    const id = 'mock-real-somebody-elses';
    await eventually(async () => assert.deepEqual(await house.mocks(), [{ id, name: null, type: 'other' }]));
    const stated = await house.registry.get(id);
    assert.deepEqual([stated.base_power, stated.base_voltage], [7.5, 400]);
    await eventually(() => assert.equal(world.state.online, 1));
    await world.stop(false);
    const again = house.world();
    await eventually(() => assert.equal(again.state.online, 1));
    // One microsecond older, as new, and one microsecond newer.
    const renamed = (name: string, micro: number) => ({
      ...event,
      event_type: 'device.updated',
      timestamp: `2026-11-20T12:00:00.00000${micro}Z`,
      device_data: { ...event.device_data, name },
    });
    await house.publish([renamed('older', 0), renamed('same', 1), renamed('newer', 2)]);
    await eventually(async () => assert.equal((await house.mocks())[0]?.['name'], 'newer (mock)'));
    await house.publish([{ ...renamed('', 3), event_type: 'device.deleted' }]);
    await eventually(async () => assert.deepEqual(await house.mocks(), []));
    await house.publish([event]);
    const other = await create({ type: 'hvac' });
    await house.publish(await house.logged(other.id));
    await eventually(async () =>
      assert.deepEqual(
        (await house.mocks()).map((mock) => mock['id']),
        [mockPrefix + other.id],
      ),
    );
  });

  it('are refused for what is no event, an id that is too long, and a name that somebody else has', async () => {
    const world = house.world();
    const signal = AbortSignal.timeout(10_000);
    const event = {
      event_type: 'device.created',
      device_id: 'a',
      timestamp: '2026-11-20T12:00:00Z',
      device_data: {},
    };
    const refusal = async (change: object, topic = ''): Promise<string> => {
      const refused = world.take([{ ...event, ...change }], topic, signal);
      return refused.then(
        () => 'taken',
        (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
      );
    };
    for (const [change, words] of [
      [{ event_type: 'device.moved' }, /event_type must be device.created, device.updated, device.deleted/],
      [{ device_id: 'x'.repeat(41) }, /device_id has 41 characters; a mock's name has room for 40/],
      [{ device_id: 'a/b' }, /device_id must be letters/],
      [{ device_id: 7 }, /device_id must be/],
      [{ timestamp: 'today' }, /timestamp must be a time of RFC 3339/],
      [{ timestamp: 1_795_176_000_000 }, /timestamp must be/],
      [{ timestamp: '9999-01-01T00:00:00Z' }, /timestamp is more than an hour ahead/],
      [{ device_data: null }, /device_data must hold the device/],
      [{ device_data: { base_power: -1 } }, /base_power must be a number/],
      [{ device_data: { base_voltage: '240' } }, /base_voltage must be a number/],
    ] as const)
      assert.match(await refusal(change), new RegExp(`^SCHEMA_INVALID: .*${words.source}`));
    assert.match(
      await refusal({}, 'energy/events/devices/b/device.created'),
      /is not the device of the topic/,
    );
    await create({ type: 'sensor', meter_id: 'thermometer' });
    await house.rows(`update devices set meter_id = 'mock-real-a' where meter_id = 'thermometer'`);
    assert.match(await refusal({}), /^METER_ID_TAKEN: mock-real-a is the name of somebody else/);
    assert.equal(await refusal({ device_id: 'mock-real-b' }), 'taken', 'a mock has no mock');
    assert.equal(await refusal({ device_id: 'b' }), 'taken');
    const long = 'long'.repeat(12);
    await house.rows(
      `insert into devices (id, meter_id, mqtt_user, type, password_hash) values ($1, $1, $1, 'hvac', '\\x00')`,
      long,
    );
    await world.stop(false);
    house.world();
    await eventually(() => assert.ok(house.lines.some((line) => line.includes(`${long} has no mock`))));
    const ids = new Set((await house.mocks()).map(({ id }) => id));
    assert.ok(ids.has('mock-real-b') && !ids.has('mock-real-a') && !ids.has('mock-real-mock-real-b'));
  });

  it('are made of the events beside one that the database refuses', async () => {
    const world = house.world();
    await eventually(() => assert.equal(world.state.deaf, null));
    const event = (id: string, timestamp: string) => ({
      event_type: 'device.created',
      device_id: id,
      timestamp,
      device_data: { name: id, type: 'hvac' },
    });
    // A day that no calendar has, and an offset that no place has.
    const wrong = [event('no-day', '2026-02-30T12:00:00Z'), event('no-place', '2026-11-20T12:00:00+23:00')];
    const right = ['a', 'b', 'c'].map((id) => event(id, '2026-11-20T12:00:00Z'));
    await house.publish([...right.slice(0, 1), ...wrong, ...right.slice(1)]);
    await eventually(async () => assert.equal((await house.mocks()).length, 3));
    await assert.rejects(world.take([wrong[0]], '', AbortSignal.timeout(5_000)));
    await eventually(() =>
      assert.ok(
        ['no-day', 'no-place'].every((id) =>
          house.lines.some((line) => line.includes(`device ${id} was not`)),
        ),
      ),
    );
    await eventually(() => assert.deepEqual([world.state.pending, world.state.online], [0, 3]));
  });

  it('hear what comes over the broker although it sends rubbish in between', async () => {
    const world = house.world();
    await eventually(() => assert.equal(world.state.deaf, null));
    await house.publish([{ event_type: 'device.created', device_id: 'rubbish' }]);
    const real = await create({ type: 'hvac', name: 'real' });
    await house.publish(await house.logged(real.id));
    await eventually(async () => assert.equal((await house.mocks()).length, 1));
    await eventually(() =>
      assert.ok(house.lines.some((line) => line.includes('rubbish') && line.includes('/timestamp'))),
    );
  });
});

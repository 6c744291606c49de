import assert from 'node:assert/strict';
import type { SessionEvent } from '../../src/broker/delivery.js';
import { createPresence } from '../../src/devices/presence.js';
import { createRegistry, type Device, type Registry } from '../../src/devices/registry.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('presence', () => {
  let test: TestDatabase;
  let registry: Registry;
  let device: Device;
  before(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
  });
  after(() => test.drop());
  beforeEach(async () => {
    ({ device } = await registry.create({ type: 'meter' }, { name: 'test' }));
  });

  function session(event: SessionEvent['event'], client = 'c', reason: string | null = null): SessionEvent {
    return {
      event,
      kind: 'device',
      client_id: client,
      mqtt_user: device.mqtt_user,
      device_id: device.id,
      meter_id: device.meter_id,
      address: '127.0.0.1',
      reason,
      at: Date.parse('2026-11-20T12:00:00Z'),
    };
  }

  for (const [title, events, online] of [
    ['a connect', [['connected']], true],
    ['a connect and its end', [['connected'], ['disconnected']], false],
    [
      'one of two sessions ended',
      [
        ['connected', 'a'],
        ['connected', 'b'],
        ['disconnected', 'a'],
      ],
      true,
    ],
    ['a take-over', [['connected'], ['connected'], ['disconnected', 'c', 'taken over']], true],
    ['a refusal', [['refused']], false],
    ['a connect and a subscription', [['connected'], ['subscribed']], true],
  ] as const) {
    it(`after ${title} the device is ${online ? 'online' : 'offline'}`, async () => {
      const presence = createPresence(test.database, 'one');
      await presence.record(events.map(([event, client, reason]) => session(event, client, reason)));
      const found = await registry.get(device.id);
      assert.equal(found.online, online);
      assert.equal(found.status, online ? 'online' : 'offline');
      if (online) assert.equal(found.last_seen_at, '2026-11-20T12:00:00.000Z');
      presence.close();
    });
  }

  it('leaves a device to the instance that it moved to', async () => {
    const [one, two] = [createPresence(test.database, 'one'), createPresence(test.database, 'two')];
    await one.record([session('connected')]);
    await two.record([session('connected')]);
    await one.record([session('disconnected')]);
    assert.equal((await registry.get(device.id)).online, true);
    await one.clear();
    assert.equal((await registry.get(device.id)).online, true);
    await two.clear();
    assert.equal((await registry.get(device.id)).online, false);
    one.close();
    two.close();
  });
});

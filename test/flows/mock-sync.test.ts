import assert from 'node:assert/strict';
import { mockPrefix } from '../../src/devices/mock-id.js';
import { eventually } from '../support/eventually.js';
import { startHouse, type House } from './house.js';

const thirdParty = { user: 'iot_user', password: 'iot123' };

describe('The tab Mock sync', function () {
  this.timeout(120_000);
  let house: House;
  before(async () => {
    house = await startHouse({ MOCK_SYNC: 'on', VIRTUAL_METERS: '2' });
  });
  after(() => house.close());

  const mocksOf = async (): Promise<{ id: string; name: string | null; type: string; online: boolean }[]> => {
    const { body } = await house.request('GET', '/devices?mock=true&limit=100');
    return body['data'] as unknown as { id: string; name: string | null; type: string; online: boolean }[];
  };
  const mockOf = async (id: string) => (await mocksOf()).find((mock) => mock.id === mockPrefix + id);

  it('has a mock beside each virtual meter, connected and a meter, too', async () => {
    await eventually(
      async () => {
        const mocks = await mocksOf();
        assert.deepEqual(
          mocks.map(({ type, online }) => [type, online]),
          [
            ['meter', true],
            ['meter', true],
          ],
        );
      },
      { timeoutMs: 30_000 },
    );
  });

  it('follows a device that is added, renamed and deleted over the API', async () => {
    const ear = await house.connect(thirdParty, { clientId: 'ear' });
    const topics: string[] = [];
    ear.on('message', (topic) => topics.push(topic));
    await ear.subscribeAsync('devices/+/telemetry');
    const { id } = await house.register('ROOF', { type: 'hvac', name: 'Roof' });
    await eventually(async () => {
      const mock = await mockOf(id);
      assert.deepEqual([mock?.name, mock?.type, mock?.online], ['Roof (mock)', 'hvac', true]);
    });
    const line = `Created mock device mock-real-${id} for real device: ${id}`;
    await eventually(() => assert.ok(house.appliance.output().includes(line)));
    await eventually(() => assert.ok(topics.includes(`devices/mock-real-${id}/telemetry`)), {
      timeoutMs: 15_000,
    });
    await house.request('PATCH', `/devices/${id}`, { name: 'Cellar' });
    await eventually(async () => assert.equal((await mockOf(id))?.name, 'Cellar (mock)'));
    await house.request('DELETE', `/devices/${id}`);
    await eventually(async () => assert.equal(await mockOf(id), undefined));
  });

  it('keeps mocks out of the lists of meters, and of events', async () => {
    await house.rows(`select ensure_day_partition('meter_readings', current_date)`);
    await house.rows(
      `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
       select id, 1, date_trunc('day', now()) from devices where mock
       on conflict do nothing`,
    );
    const { body } = await house.request('GET', '/api/meter_data?limit=100');
    const meters = (body['data'] as unknown as { meter_id: string }[]).map(({ meter_id }) => meter_id);
    assert.ok(meters.length >= 2 && meters.every((meter) => !meter.startsWith(mockPrefix)));
    const told = await house.value(
      `select count(*)::int from device_events where device_id like 'mock-real-%'`,
    );
    assert.equal(told, 0);
  });

  it('follows events that another program publishes, as the account that everybody has', async () => {
    const program = await house.connect(thirdParty, { clientId: 'their-program' });
    const event = (kind: string, second: number, name: string) =>
      program.publishAsync(
        `energy/events/devices/their-pump/device.${kind}`,
        JSON.stringify({
          event_type: `device.${kind}`,
          device_id: 'their-pump',
          timestamp: `2026-11-20T12:00:0${second}Z`,
          device_data: { id: 'their-pump', name, type: 'pump', location: null, status: 'offline' },
          metadata: { source: 'their-program' },
        }),
        { qos: 1 },
      );
    await event('created', 1, 'Pump');
    await eventually(async () => assert.equal((await mockOf('their-pump'))?.name, 'Pump (mock)'));
    await event('updated', 2, 'Deep pump');
    await event('updated', 1, 'An older name');
    await eventually(async () => assert.equal((await mockOf('their-pump'))?.name, 'Deep pump (mock)'));
    await event('deleted', 3, '');
    await eventually(async () => assert.equal(await mockOf('their-pump'), undefined));
  });
});

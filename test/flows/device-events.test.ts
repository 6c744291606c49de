import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceEvent } from '../../src/events/device-event.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.js';
import { startHouse, type House } from './house.js';

type Node = Record<string, unknown> & { readonly id: string; readonly type: string };

const iotUser = { user: 'iot_user', password: 'iot123' };

describe('the tab Mock sync tells what happens to devices', function () {
  this.timeout(150_000);
  let house: House;
  const heard: { readonly topic: string; readonly event: DeviceEvent }[] = [];
  before(async () => {
    house = await startHouse();
    const client = await house.connect(iotUser);
    client.on('message', (topic, payload) =>
      heard.push({ topic, event: JSON.parse(payload.toString()) as DeviceEvent }),
    );
    await client.subscribeAsync('energy/events/devices/#', { qos: 1 });
  });
  after(() => house?.close());

  const lifeOf = (id: string) => heard.filter(({ event }) => event.device_id === id);

  it('to iot_user over MQTT, and in the log over HTTP [M-8], [L-4]', async () => {
    const { id } = await house.register('ROOF', {
      type: 'hvac',
      name: 'HVAC Unit 1',
      location: 'Building A - Floor 2',
    });
    await house.request('PATCH', `/devices/${id}`, { name: 'HVAC Unit 2' });
    await house.request('DELETE', `/devices/${id}`);
    await eventually(() => lifeOf(id).length === 3);
    assert.deepEqual(
      lifeOf(id).map(({ topic, event }) => [topic, event.event_type, event.device_data.name]),
      [
        [`energy/events/devices/${id}/device.created`, 'device.created', 'HVAC Unit 1'],
        [`energy/events/devices/${id}/device.updated`, 'device.updated', 'HVAC Unit 2'],
        [`energy/events/devices/${id}/device.deleted`, 'device.deleted', 'HVAC Unit 2'],
      ],
    );
    const { status, body } = await house.request('GET', `/api/device-events?device_id=${id}`);
    const { data } = body as unknown as { data: (DeviceEvent & { id: number })[] };
    assert.equal(status, 200);
    assert.deepEqual(
      data,
      lifeOf(id).map(({ event }, index) => Object.assign({ id: data[index]?.id }, event)),
    );
    await eventually(() =>
      assert.ok(house.appliance.output().includes(`Published device event: device.created for device ${id}`)),
    );
  });

  it('when a device comes online, and when it goes', async () => {
    const device = await house.register('LIVE');
    const client = await house.connect(device);
    await eventually(() => lifeOf(device.id).at(-1)?.event.device_data.status === 'online');
    await client.endAsync(true);
    await eventually(() => lifeOf(device.id).at(-1)?.event.device_data.status === 'offline');
    assert.deepEqual(
      lifeOf(device.id).map(({ event }) => event.device_data.status),
      ['offline', 'online', 'offline'],
    );
  });

  describe('to the example of a third party', () => {
    const flow = JSON.parse(
      readFileSync(join(__dirname, '../../examples/third-party/device-events.json'), 'utf8'),
    ) as Node[];
    let tab: string;
    let line: FaultProxy;

    /** As somebody who imports it does, with the addresses of this run. */
    before(async () => {
      await house.register('EARLY', { name: 'There before' });
      await house.register('GONE');
      await house.request('DELETE', '/devices/GONE');
      line = await startFaultProxy({ host: '127.0.0.1', port: house.appliance.mqttPort });
      const nodes = flow.map((node) => {
        if (node.type === 'mqtt-broker') return Object.assign(node, { port: String(line.port) });
        const url = String(node['url']).replace('http://127.0.0.1:1880', house.appliance.url);
        return node.type === 'http request' ? Object.assign(node, { url }) : node;
      });
      const { status, body } = await house.request('POST', '/flow', {
        label: 'Follow devices',
        nodes: nodes.filter(({ type }) => type !== 'tab' && type !== 'mqtt-broker'),
        configs: nodes.filter(({ type }) => type === 'mqtt-broker'),
      });
      assert.equal(status, 200, JSON.stringify(body));
      tab = (body as unknown as { id: string }).id;
    });

    /** Names by id, as its flow variable has them. */
    async function copy(): Promise<Record<string, string | null>> {
      const { body } = await house.request('GET', `/context/flow/${tab}/devices?store=memory`);
      const { msg = '{}' } = body as unknown as { msg?: string };
      const devices = JSON.parse(msg) as Record<string, { name: string | null }>;
      return Object.fromEntries(Object.entries(devices).map(([id, { name }]) => [id, name]));
    }
    async function registry(): Promise<Record<string, string | null>> {
      const rows = await house.rows('select id, name from devices where not mock');
      return Object.fromEntries(rows.map(({ id, name }) => [id as string, name as string | null]));
    }
    const isInStep = (timeoutMs = 10_000) =>
      eventually(async () => assert.deepEqual(await copy(), await registry()), { timeoutMs });

    it('which learns of what there was before it', () => isInStep());

    it('which stays in step', async () => {
      const { id } = await house.register('NEW', { name: 'Before' });
      await isInStep();
      await house.request('PATCH', `/devices/${id}`, { name: 'After' });
      await house.register('NEWER');
      await isInStep();
      assert.equal((await copy())[id], 'After');
      await house.request('DELETE', `/devices/${id}`);
      await isInStep();
      assert.equal(id in (await copy()), false);
    });

    it('which reads in the log what its session does not bring', async () => {
      line.cut();
      // A broker that was started anew knows no session: what is published now, nobody keeps for it.
      const other = await house.connect(iotUser, { clientId: 'my-system', clean: true });
      await other.endAsync();
      const { id } = await house.register('UNHEARD', { name: 'Unheard' });
      await eventually(() => lifeOf(id).length === 1);
      line.pass();
      // Node-RED tries again every 15 s.
      await isInStep(40_000);
      assert.equal((await copy())[id], 'Unheard');
      await line.close();
    });
  });
});

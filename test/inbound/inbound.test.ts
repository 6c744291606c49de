import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { connectAsync, type MqttClient } from 'mqtt';
import { generate, parser as createParser, type Packet } from 'mqtt-packet';
import { deliveries } from '../../src/broker/deliveries.js';
import type { Delivery } from '../../src/broker/delivery.js';
import { untilCommitted } from '../../src/database/database.js';
import { createDeviceNames, type DeviceNames } from '../../src/devices/names.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { openInbound, type Inbound, type InboundOptions } from '../../src/inbound/inbound.js';
import type { Rejection } from '../../src/readings/reading.js';
import { startTestBroker } from '../support/broker.js';
import { createCertificateFolder } from '../support/certificates.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';

const caller = { name: 'test' };
const aborted = new AbortController();

/** Keeps what comes; settles it at once when asked to. */
class Keeper {
  readonly readings: Delivery[] = [];
  readonly messages: Delivery[] = [];
  readonly rejected: Rejection[] = [];
  constructor(public settling: boolean) {}

  get sink(): InboundOptions['sink'] {
    const take =
      <T extends { delivery: number }>(kept: T[]) =>
      (batch: T[]) => {
        kept.push(...batch);
        if (this.settling) for (const { delivery } of batch) deliveries.settle(delivery);
      };
    return { readings: take(this.readings), messages: take(this.messages), rejected: take(this.rejected) };
  }

  texts(): string[] {
    return this.readings.map(({ payload }) => String(payload));
  }
}

describe('Messages from an external broker (Mosquitto)', () => {
  let test: TestDatabase;
  let registry: Registry;
  let names: DeviceNames;
  let mosquitto: Mosquitto;
  let meters: MqttClient;
  const open: Inbound[] = [];
  let session = 0;

  before(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    names = createDeviceNames(test.database);
    mosquitto = await startMosquitto();
    await registry.create({ type: 'meter', meter_id: 'M1', drn: '09000030529' }, caller);
    await registry.create({ type: 'meter', meter_id: 'M2' }, caller);
  });
  beforeEach(async () => {
    meters = await connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`, { reconnectPeriod: 100 });
  });
  afterEach(async () => {
    await meters.endAsync(true);
    for (const inbound of open.splice(0)) await inbound.close({ drainMs: 0 });
  });
  after(async () => {
    aborted.abort();
    await names.close();
    await mosquitto.remove();
    await test.drop();
  });

  async function listen(keeper: Keeper, more: Partial<InboundOptions> = {}): Promise<Inbound> {
    const inbound = openInbound({
      host: '127.0.0.1',
      port: mosquitto.port,
      tls: false,
      clientId: `gateway-${++session}`,
      username: '',
      password: '',
      group: `group-${session}`,
      names,
      sink: keeper.sink,
      untilAnswered: (ask) => untilCommitted(test.database, ask, { signal: aborted.signal }),
      ...more,
    });
    open.push(inbound);
    await eventually(() => inbound.stats().state === 'open');
    return inbound;
  }

  async function publish(topic: string, payload: string, qos: 0 | 1 | 2 = 1): Promise<void> {
    await meters.publishAsync(topic, payload, { qos });
  }

  async function say(count: number, topic = 'meters/M1/readings', from = 0): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, index) => publish(topic, `reading ${from + index}`)));
  }

  it('become the deliveries that the embedded broker would make of them', async () => {
    const keeper = new Keeper(true);
    await listen(keeper);
    const { data } = await registry.list({ meter_id: 'M1' });
    const device_id = data.find((device) => device.meter_id === 'M1')?.id ?? '';
    await publish('meters/M1/readings', '{"kwh_amount":1}');
    await publish('meters/09000030529/readings.pb', '\u0001\u0002');
    await publish('smartmeter/M1/consumption', '{}', 2);
    await publish(`devices/${device_id}/telemetry`, '{"power_kw":1}', 0);
    await eventually(() => keeper.readings.length === 2 && keeper.messages.length === 2);
    keeper.messages.sort((one, other) => other.topic.localeCompare(one.topic));
    const shown = [...keeper.readings, ...keeper.messages].map(
      ({ topic, pattern, qos, payload, meter_id, device_id: id }) =>
        [topic, pattern, qos, payload, meter_id, id === device_id] as const,
    );
    assert.deepEqual(shown, [
      ['meters/M1/readings', 'meters/+/readings', 1, '{"kwh_amount":1}', 'M1', true],
      ['meters/09000030529/readings.pb', 'meters/+/readings.pb', 1, '\u0001\u0002', 'M1', true],
      ['smartmeter/M1/consumption', 'smartmeter/+/consumption', 1, '{}', 'M1', true],
      [`devices/${device_id}/telemetry`, 'devices/+/telemetry', 0, '{"power_kw":1}', 'M1', true],
    ]);
  });

  it('are handed on by the hundreds while none is acknowledged yet [M-13]', async () => {
    const keeper = new Keeper(false);
    const inbound = await listen(keeper);
    await say(700);
    await eventually(() => keeper.readings.length === 700);
    assert.equal(inbound.stats().inflight, 700);
    for (const { delivery } of keeper.readings) deliveries.settle(delivery);
    await eventually(() => inbound.stats().inflight === 0);
  });

  it('wait at the broker beyond the bound, and all come in the end', async () => {
    const keeper = new Keeper(false);
    const inbound = await listen(keeper, { limits: { inflightMax: 100 } });
    await say(500);
    await eventually(() => keeper.readings.length === 100);
    assert.equal(inbound.stats().inflight, 100);
    keeper.settling = true;
    for (const { delivery } of keeper.readings.slice()) deliveries.settle(delivery);
    await eventually(() => keeper.readings.length === 500);
    assert.equal(new Set(keeper.texts()).size, 500);
    assert.equal(inbound.stats().connects, 1);
  });

  it('that were not acknowledged come again after a restart of this process, the others do not', async () => {
    const first = new Keeper(false);
    const who = { clientId: 'gateway-again', group: 'again' };
    const inbound = await listen(first, who);
    await say(10);
    await eventually(() => first.readings.length === 10);
    // Out of order: only the settled beginning may be acknowledged ([MQTT-4.6.0-2]).
    for (const index of [0, 1, 2, 5]) deliveries.settle(first.readings[index]?.delivery ?? 0);
    await inbound.close({ drainMs: 100 });
    await say(1, 'meters/M2/readings', 10); // while nobody listens
    const second = new Keeper(true);
    await listen(second, who);
    await eventually(() => second.readings.length === 8);
    assert.deepEqual(
      second.texts(),
      [3, 4, 5, 6, 7, 8, 9, 10].map((n) => `reading ${n}`),
    );
  });

  it('are shared by two instances, each message by one of them', async () => {
    const [left, right] = [new Keeper(true), new Keeper(true)];
    const group = { group: 'pair' };
    await listen(left, group);
    await listen(right, group);
    await say(200);
    await eventually(() => left.readings.length + right.readings.length === 200);
    assert.ok(left.readings.length > 0 && right.readings.length > 0);
    assert.equal(new Set([...left.texts(), ...right.texts()]).size, 200);
  });

  it('survive a restart of the broker while they are held: stored once, acknowledged after it', async () => {
    const keeper = new Keeper(false);
    const inbound = await listen(keeper);
    await say(50);
    await eventually(() => keeper.readings.length === 50);
    for (const { delivery } of keeper.readings) deliveries.hold(delivery);
    await mosquitto.stop();
    await eventually(() => inbound.stats().state !== 'open');
    assert.ok(inbound.stats().reason);
    // Half of them are committed while the broker is away.
    for (const { delivery } of keeper.readings.slice(0, 25)) deliveries.settle(delivery);
    await mosquitto.start();
    await eventually(() => inbound.stats().state === 'open');
    for (const { delivery } of keeper.readings.slice(25)) deliveries.settle(delivery);
    await eventually(() => inbound.stats().inflight === 0);
    keeper.settling = true;
    await eventually(() => meters.connected);
    await say(1, 'meters/M2/readings', 99);
    await eventually(() => keeper.texts().includes('reading 99'));
    assert.equal(keeper.readings.length, 51, 'none was taken in twice');
    await inbound.close();
    const later = new Keeper(true);
    await listen(later, { clientId: `gateway-${session}`, group: `group-${session}` });
    await say(1, 'meters/M2/readings', 100);
    await eventually(() => later.readings.length > 0);
    assert.deepEqual(later.texts(), ['reading 100'], 'nothing was left unacknowledged');
  });

  it('that no store takes on come again by a new connection, and end in quarantine the third time', async () => {
    const kept: string[] = [];
    const keeper = new Keeper(false);
    const inbound = await listen(keeper, {
      limits: { flowDeadlineMs: 300 },
      unsettled: async ({ payload }) => void kept.push(String(payload)),
    });
    await say(2);
    await eventually(() => kept.length === 2, { timeoutMs: 20_000 });
    assert.equal(keeper.readings.length, 6);
    await eventually(() => inbound.stats().inflight === 0 && inbound.stats().connects === 3);
    keeper.settling = true;
    await say(1, 'meters/M1/readings', 7);
    await eventually(() => keeper.texts().includes('reading 7'));
    assert.equal(inbound.stats().connects, 3);
  });

  it('on a topic that names no device go to quarantine and hold up nobody', async () => {
    const keeper = new Keeper(true);
    await listen(keeper);
    const { device } = await registry.create({ type: 'meter', meter_id: 'GONE' }, caller);
    await publish('meters/GONE/readings', 'before');
    await publish('meters/NOBODY/readings', 'a');
    await publish(`meters/${device.id}x/readings`, 'b');
    await publish('meters/M1/readings', 'known');
    await eventually(() => keeper.rejected.length === 2 && keeper.readings.length === 2);
    await registry.remove(device.id, caller);
    await eventually(() => names.known('meter', 'GONE') === undefined);
    await publish('meters/GONE/readings', 'after');
    await eventually(() => keeper.rejected.length === 3);
    assert.deepEqual(
      keeper.rejected.map(({ code, topic, payload, meter_id }) => [code, topic, payload, meter_id]),
      [
        ['METER_UNKNOWN', 'meters/NOBODY/readings', 'a', null],
        ['METER_UNKNOWN', `meters/${device.id}x/readings`, 'b', null],
        ['METER_UNKNOWN', 'meters/GONE/readings', 'after', null],
      ],
    );
  });

  it('of a device that is registered only now are known at once', async () => {
    const keeper = new Keeper(true);
    await listen(keeper);
    await publish('meters/LATE/readings', 'too early');
    await eventually(() => keeper.rejected.length === 1);
    await registry.create({ type: 'meter', meter_id: 'LATE' }, caller);
    await eventually(() => names.known('meter', 'LATE') === undefined);
    await publish('meters/LATE/readings', 'in time');
    await eventually(() => keeper.texts().includes('in time'));
  });

  it('that are commands to devices are let pass', async () => {
    const keeper = new Keeper(true);
    const inbound = await listen(keeper);
    const device_id = (await names.find('meter', 'M1'))?.principal.device_id ?? '';
    await publish(`devices/${device_id}/command/relay`, 'on');
    await publish('meters/M1/readings', 'after it');
    await eventually(() => keeper.readings.length === 1);
    assert.equal(keeper.messages.length + keeper.rejected.length, 0);
    assert.equal(inbound.stats().inflight, 0);
  });

  it('cannot be fetched twice under one client id by one process', async () => {
    await listen(new Keeper(true), { clientId: 'gateway-twice' });
    await assert.rejects(listen(new Keeper(true), { clientId: 'gateway-twice' }), /gateway-twice/);
  });

  it('need the right to be the only one where subscriptions are not shared', async () => {
    const keeper = new Keeper(true);
    let released = 0;
    const right = { problem: undefined, close: async () => void released++ };
    const inbound = await listen(keeper, { group: '', claim: async () => right });
    assert.equal(inbound.stats().isShared, false);
    await say(20);
    await eventually(() => keeper.readings.length === 20);
    await inbound.close();
    assert.equal(released, 1);
    const other = openInbound({
      host: '127.0.0.1',
      port: mosquitto.port,
      tls: false,
      clientId: 'gateway-other',
      username: '',
      password: '',
      group: '',
      names,
      sink: keeper.sink,
      untilAnswered: (ask) => ask(),
      claim: () => Promise.reject(new Error('another one has it')),
    });
    open.push(other);
    await eventually(() => other.stats().reason === 'another one has it');
    assert.equal(other.stats().connects, 0);
  });
});

describe('Brokers that are not like Mosquitto', () => {
  const names: DeviceNames = {
    known: () => null,
    find: () => Promise.resolve(null),
    close: () => Promise.resolve(),
  };
  const right = { problem: undefined, close: () => Promise.resolve() };

  function connectTo(port: number, more: Partial<InboundOptions> = {}): Inbound {
    return openInbound({
      host: '127.0.0.1',
      port,
      tls: false,
      clientId: 'gateway',
      username: 'backend',
      password: 'secret of backend',
      group: 'meterflow',
      names,
      sink: new Keeper(true).sink,
      untilAnswered: (ask) => ask(),
      claim: () => Promise.resolve(right),
      ...more,
    });
  }

  it('that speak TLS and ask for a certificate are believed by their CA, and get ours', async () => {
    const folder = await createCertificateFolder();
    const own = folder.write('gateway', await folder.authority.device('gateway'));
    const mosquitto = await startMosquitto({ tls: folder });
    const trust = { caFile: folder.caFile, pinnedFile: '', ...own };
    const inbound = connectTo(mosquitto.port, { tls: true, trust });
    await eventually(() => inbound.stats().state === 'open');
    assert.equal(inbound.stats().isShared, true);
    await inbound.close();
    const stranger = connectTo(mosquitto.port, { tls: true });
    await eventually(() => /certificate/.test(stranger.stats().reason ?? ''));
    assert.equal(stranger.stats().connects, 0);
    await stranger.close();
    await mosquitto.remove();
    folder.remove();
  });

  it('of MQTT 3.1.1 only, such as our own, are spoken to in 3.1.1, alone', async () => {
    const { broker, port } = await startTestBroker();
    const inbound = connectTo(port);
    await eventually(() => inbound.stats().state === 'open');
    assert.equal(inbound.stats().isShared, false);
    await inbound.close();
    await broker.close({ drainMs: 0 });
  });

  it('that refuse the login are asked again, ever more seldom, with the reason shown', async () => {
    const { broker, port } = await startTestBroker();
    const inbound = connectTo(port, { password: 'wrong' });
    await eventually(() => inbound.stats().reason === 'not authorized');
    await eventually(() => (inbound.stats().retryAt ?? 0) - Date.now() > 500);
    await inbound.close();
    await broker.close({ drainMs: 0 });
  });

  it('that accept a version and then no shared subscription are asked without', async () => {
    const fake = await startFakeBroker((socket, packet) => {
      if (packet.cmd === 'connect') reply(socket, { cmd: 'connack', reasonCode: 0, sessionPresent: false });
      if (packet.cmd !== 'subscribe') return;
      const isShared = packet.subscriptions.every(({ topic }) => topic.startsWith('$share/'));
      const granted = packet.subscriptions.map(() => (isShared ? 0x9e : 1));
      reply(socket, { cmd: 'suback', messageId: packet.messageId ?? 0, granted });
    });
    const inbound = connectTo(fake.port);
    await eventually(() => inbound.stats().state === 'open');
    assert.equal(inbound.stats().isShared, false);
    await inbound.close();
    await fake.close();
  });

  it('that allow a part of the topics give that part, and the rest is named', async () => {
    const fake = await startFakeBroker((socket, packet) => {
      if (packet.cmd === 'connect') reply(socket, { cmd: 'connack', reasonCode: 0, sessionPresent: false });
      if (packet.cmd !== 'subscribe') return;
      const granted = packet.subscriptions.map(({ topic }) => (topic.endsWith('/readings') ? 1 : 0x87));
      reply(socket, { cmd: 'suback', messageId: packet.messageId ?? 0, granted });
    });
    const inbound = connectTo(fake.port);
    await eventually(() => inbound.stats().state === 'open');
    assert.equal(inbound.stats().refused.length, 7);
    assert.ok(inbound.stats().refused.includes('$share/meterflow/devices/+/#'));
    await inbound.close();
    await fake.close();
  });

  it('that send a message again on the same connection get one PUBACK for it, in its turn', async () => {
    const acknowledged: number[] = [];
    let send: ((id: number, dup: boolean) => void) | undefined;
    const fake = await startFakeBroker((socket, packet) => {
      if (packet.cmd === 'connect') reply(socket, { cmd: 'connack', reasonCode: 0, sessionPresent: false });
      if (packet.cmd === 'puback') acknowledged.push(packet.messageId ?? 0);
      if (packet.cmd !== 'subscribe') return;
      reply(socket, {
        cmd: 'suback',
        messageId: packet.messageId ?? 0,
        granted: packet.subscriptions.map(() => 1),
      });
      send = (messageId, dup) =>
        reply(socket, {
          cmd: 'publish',
          topic: 'meters/M/readings',
          payload: `${messageId}`,
          qos: 1,
          dup,
          retain: false,
          messageId,
        });
    });
    const keeper = new Keeper(false);
    const inbound = connectTo(fake.port, { sink: keeper.sink });
    await eventually(() => inbound.stats().state === 'open');
    for (const [id, dup] of [
      [1, false],
      [2, false],
      [1, true],
      [3, false],
    ] as const)
      send?.(id, dup);
    await eventually(() => keeper.rejected.length === 3);
    for (const index of [2, 1, 0]) deliveries.settle(keeper.rejected[index]?.delivery ?? 0);
    await eventually(() => acknowledged.length === 3);
    assert.deepEqual(acknowledged, [1, 2, 3]);
    await inbound.close();
    await fake.close();
  });

  it('that bring what an old session kept are heard only once we may take it in', async () => {
    const fake = await startFakeBroker((socket, packet) => {
      if (packet.cmd === 'connect') {
        const properties = { sharedSubscriptionAvailable: false };
        reply(socket, { cmd: 'connack', reasonCode: 0, sessionPresent: true, properties });
        const message = {
          topic: 'meters/M/readings',
          payload: 'kept',
          qos: 1,
          dup: false,
          retain: false,
        } as const;
        reply(socket, { cmd: 'publish', ...message, messageId: 1 });
      }
      if (packet.cmd !== 'subscribe') return;
      const granted = packet.subscriptions.map(() => 1);
      reply(socket, { cmd: 'suback', messageId: packet.messageId ?? 0, granted });
    });
    const keeper = new Keeper(true);
    let asked = 0;
    const claim = async () => {
      asked += 1;
      if (asked === 1) throw new Error('another one has it');
      return right;
    };
    const inbound = connectTo(fake.port, { sink: keeper.sink, claim });
    await eventually(() => inbound.stats().reason === 'another one has it');
    assert.equal(keeper.rejected.length, 0);
    await eventually(() => keeper.rejected.length === 1 && inbound.stats().state === 'open');
    await inbound.close();
    await fake.close();
  });

  it('that talk nonsense are left and tried again', async () => {
    const fake = await startFakeBroker(() => undefined, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const inbound = connectTo(fake.port);
    await eventually(() => inbound.stats().reason !== null && inbound.stats().state !== 'open');
    assert.equal(inbound.stats().connects, 0);
    await inbound.close();
    await fake.close();
  });
});

interface FakeBroker {
  readonly port: number;
  close(): Promise<void>;
}

/** Speaks MQTT 5 as the test says. */
async function startFakeBroker(
  take: (socket: Socket, packet: Packet) => void,
  greeting?: Buffer,
): Promise<FakeBroker> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    if (greeting !== undefined) socket.write(greeting);
    const packets = createParser({ protocolVersion: 5 });
    packets.on('packet', (packet) => take(socket, packet));
    packets.on('error', () => socket.destroy());
    socket.on('data', (chunk) => packets.parse(chunk));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function reply(socket: Socket, packet: Packet): void {
  socket.write(generate(packet, { protocolVersion: 5 }));
}

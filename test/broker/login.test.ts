import assert from 'node:assert/strict';

import { type TestBroker, as, device, startTestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import {
  type Login,
  Wire,
  connack,
  connectPacket,
  publishPacket,
  subscribePacket,
  u16,
} from '../support/mqtt-wire.js';

describe('Who may connect, and as whom [M-12]', () => {
  let test: TestBroker;

  beforeEach(async () => {
    test = await startTestBroker();
  });

  afterEach(() => test.broker.close({ drainMs: 0 }));

  async function refused(login: Login, code: number, reason: string) {
    const wire = await Wire.open(test.port);
    wire.send(connectPacket(login));
    await wire.expect(connack(code));
    await wire.expectClosed();
    await eventually(() => test.sink.of('refused').at(-1)?.reason === reason);
  }

  it('refuses a wrong password, an unknown user and nobody with CONNACK 5 and says no more', async () => {
    await refused({ ...as('METER001'), password: 'wrong' }, 5, 'bad credentials');
    await refused({ id: 'x', user: 'METER999', password: 'wrong' }, 5, 'bad credentials');
    await refused({ id: 'x' }, 5, 'bad credentials');
    const [event] = test.sink.of('refused');
    assert.deepEqual(
      { ...event, at: 0, address: '' },
      {
        event: 'refused',
        kind: 'unknown',
        client_id: 'METER001',
        mqtt_user: 'METER001',
        device_id: null,
        meter_id: null,
        address: '',
        reason: 'bad credentials',
        at: 0,
      },
    );
  });

  it('answers CONNACK 3 when the registry is out of reach', async () => {
    test.directory.available = false;
    await refused(as('METER001'), 3, 'registry unavailable');
    test.directory.authenticate = () => Promise.reject(new Error('broken'));
    await refused(as('METER001'), 3, 'registry unavailable');
  });

  it('tells of the session with device, meter and address', async () => {
    const wire = await Wire.login(test.port, as('METER001', 'a-client'));
    await eventually(() => test.sink.of('connected').length === 1);
    const [event] = test.sink.of('connected');
    assert.equal(event?.kind, 'device');
    assert.equal(event?.device_id, 'id-METER001');
    assert.equal(event?.client_id, 'a-client');
    assert.equal(event?.address, '127.0.0.1');
    wire.end();
    await eventually(() => test.sink.of('disconnected')[0]?.reason === 'connection lost');
  });

  it('lets the same credentials take over a client id, and nobody else', async () => {
    const first = await Wire.login(test.port, as('METER001', 'shared'));
    await refused(as('METER002', 'shared'), 2, 'client id in use');
    await refused(as('backend', 'shared'), 2, 'client id in use');
    await first.expectSilence();
    const second = await Wire.login(test.port, as('METER001', 'shared'));
    await first.expectClosed();
    await eventually(() => test.sink.of('disconnected')[0]?.reason === 'taken over');
    await second.expectSilence();
    second.end();
  });

  it('survives many takeovers of one client id at once: one stays', async () => {
    const wires = await Promise.all(Array.from({ length: 20 }, () => Wire.open(test.port)));
    for (const wire of wires) wire.send(connectPacket(as('METER001', 'busy')));
    await eventually(() => wires.filter((wire) => !wire.closed).length === 1);
    await eventually(() => test.broker.stats().clients === 1);
    const last = wires.find((wire) => !wire.closed);
    await last?.expect(connack(0));
    await last?.expectSilence();
    last?.end();
  });

  it('keeps stored sessions to client ids of the own user', async () => {
    await refused(
      { ...as('METER001', 'METER002'), clean: false },
      2,
      'stored session under a foreign client id',
    );
    await refused(
      { ...as('METER001', 'METER0010'), clean: false },
      2,
      'stored session under a foreign client id',
    );
    for (const id of ['METER001', 'METER001-a']) {
      (await Wire.login(test.port, { ...as('METER001', id), clean: false })).end();
    }
  });

  it('does not let a device wipe or inherit the stored session of an account', async () => {
    const account = await Wire.login(test.port, { ...as('backend', 'queue'), clean: false });
    account.end();
    await eventually(() => test.broker.stats().clients === 0);
    await refused(as('METER001', 'queue'), 2, 'client id in use');
  });

  it('refuses client ids that are long, look like topics, or are the name of another device', async () => {
    await refused(as('METER001', 'x'.repeat(129)), 2, 'client id too long');
    for (const id of ['a/b', 'a+', '#'])
      await refused(as('METER001', id), 2, 'client id with a topic character');
    test.directory.add(device('METER003', '09000030529'), 'x');
    for (const id of ['METER002', 'id-METER002', '09000030529']) {
      await refused(as('METER001', id), 2, 'client id is the name of another device');
    }
    (await Wire.login(test.port, as('backend', 'a/b'))).end();
  });

  it('refuses a will on a foreign topic', async () => {
    const will = { topic: 'smartmeter/METER002/status', payload: 'offline' };
    await refused({ ...as('METER001'), will }, 5, 'will denied');
  });

  it('closes on a publish to a foreign, a command or an unknown topic, and says so', async () => {
    for (const topic of [
      'meters/METER002/readings',
      'smartmeter/METER001/command/balance',
      'devices/id-METER001/command/on',
      'energy/events/devices/x/device.created',
      '$SYS/x',
      'meters/METER001/readings/more',
      'else',
    ]) {
      const wire = await Wire.login(test.port, as('METER001'));
      wire.send(publishPacket(topic, '{}', 1));
      await wire.expectClosed();
    }
    const refusals = () => test.sink.of('refused').filter(({ reason }) => reason === 'publish denied');
    await eventually(() => refusals().length === 7);
    assert.equal(test.sink.deliveries.length, 0);
  });

  it('answers a denied subscribe with 0x80 and grants the own commands', async () => {
    const wire = await Wire.login(test.port, as('METER001'));
    const filters: [string, number][] = [
      ['smartmeter/METER001/command/#', 1],
      ['meters/METER001/command/token', 1],
      ['devices/id-METER001/command/+', 0],
      ['#', 1],
      ['+/METER001/command/#', 1],
      ['smartmeter/+/command/#', 1],
      ['smartmeter/METER002/command/#', 1],
      ['smartmeter/METER001/#', 1],
      ['$share/g/smartmeter/METER001/command/#', 1],
      ['$SYS/#', 1],
    ];
    wire.send(subscribePacket(5, ...filters));
    const codes = [1, 1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80];
    await wire.expect(Buffer.concat([Buffer.from([0x90, 2 + codes.length]), u16(5), Buffer.from(codes)]));
    wire.end();
  });

  it('closes live sessions of a device that is revoked or got a new password, at once', async () => {
    const wire = await Wire.login(test.port, as('METER001'));
    const other = await Wire.login(test.port, as('METER002'));
    test.directory.remove('METER001');
    await wire.expectClosed(1_000);
    test.directory.add(device('METER002'), 'another secret');
    await other.expectClosed(1_000);
    await eventually(() => test.sink.of('disconnected').every(({ reason }) => reason === 'revoked'));
  });

  it('closes the sessions of a user on demand', async () => {
    const wire = await Wire.login(test.port, as('METER001'));
    test.broker.closeSessions('METER001');
    await wire.expectClosed();
  });

  it('lets a device speak under its drn as under its meter_id', async () => {
    test.directory.add(device('METER003', '09000030529'), 'secret of METER003');
    const wire = await Wire.login(test.port, as('METER003'));
    wire.send(publishPacket('meters/09000030529/readings', '{}', 1));
    await eventually(() => test.sink.deliveries[0]?.meter_id === 'METER003');
    wire.end();
  });
});

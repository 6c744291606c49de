import assert from 'node:assert/strict';
import { connectAsync, type MqttClient } from 'mqtt';
import { openMqttLink, type MqttLink } from '../../src/mqtt/link.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.js';

describe('Publications that are sent in order', () => {
  let test: TestBroker;
  let line: FaultProxy;
  let ears: MqttClient;
  let link: MqttLink;
  const heard: string[] = [];
  before(async () => {
    test = await startTestBroker();
    line = await startFaultProxy({ host: '127.0.0.1', port: test.port });
    const { user: username, password } = as('backend');
    ears = await connectAsync(`mqtt://127.0.0.1:${test.port}`, { username, password, clientId: 'ears' });
    ears.on('message', (_topic, payload) => heard.push(payload.toString()));
    await ears.subscribeAsync('energy/events/#', { qos: 1 });
  });
  beforeEach(() => {
    heard.length = 0;
    open();
  });
  afterEach(async () => {
    line.pass();
    await link.close();
  });
  after(async () => {
    await ears.endAsync(true);
    await line.close();
    await test.broker.close({ drainMs: 0 });
  });

  function open(timeoutMs = 30_000): void {
    const { user: username, password } = as('backend');
    const clientId = `link-${Math.random()}`;
    link = openMqttLink({
      host: '127.0.0.1',
      port: line.port,
      tls: false,
      clientId,
      username,
      password,
      timeoutMs,
    });
  }

  const send = (texts: readonly string[], signal?: AbortSignal) =>
    link.publishInOrder(
      texts.map((payload) => ({ topic: 'energy/events/devices/D/x', payload, qos: 1, retain: false })),
      signal,
    );
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => String(n));

  it('are all acknowledged, and come in order', async () => {
    assert.equal(await send(numbers(1000)), 1000);
    await eventually(() => assert.deepEqual(heard, numbers(1000)));
    assert.equal(await send([]), 0);
  });

  const breaks: readonly [what: string, timeoutMs: number, how: () => void, message: RegExp][] = [
    ['the connection is lost', 30_000, () => line.cut(), /was lost/],
    ['the deadline has come', 700, () => {}, /did not answer within 0.7 s/],
  ];
  for (const [what, timeoutMs, how, message] of breaks)
    it(`are given up when ${what}, and none is sent later`, async () => {
      await link.close();
      open(timeoutMs);
      await eventually(() => link.ready());
      line.swallowAnswers();
      const refused = assert.rejects(send(numbers(10)), { code: 'BROKER_UNAVAILABLE', message });
      await eventually(() => heard.length === 10);
      how();
      await refused;
      line.cut();
      line.pass();
      await eventually(() => send(['later']));
      await eventually(() => assert.equal(heard.at(-1), 'later'));
      // `later` itself may have come twice.
      assert.deepEqual(
        heard.filter((text) => text !== 'later'),
        numbers(10),
      );
    });

  it('are counted up to the first that is not acknowledged', async () => {
    await link.ready();
    const [count] = await Promise.all([
      send(numbers(20_000)),
      eventually(() => heard.length > 100, { intervalMs: 1 }).then(() => line.cut()),
    ]);
    assert.ok(count > 0 && count < 20_000, `${count} acknowledged`);
    line.pass();
    await eventually(() => send(['later']));
    await eventually(() => assert.equal(heard.at(-1), 'later'));
    const arrived = heard.length - 1;
    assert.ok(arrived >= count);
    assert.deepEqual(heard, [...numbers(arrived), 'later']);
  });

  it('end with the signal', async () => {
    await link.ready();
    line.swallowAnswers();
    const stop = new AbortController();
    const sent = assert.rejects(send(['0'], stop.signal), /enough/);
    await eventually(() => heard.length === 1);
    stop.abort(new Error('enough'));
    await sent;
  });
});

import assert from 'node:assert/strict';
import { connectAsync, type MqttClient } from 'mqtt';
import { openMqttLink, reachable, type MqttLink, type MqttLinkOptions } from '../../src/mqtt/link.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.js';
import { freePort } from '../support/ports.js';

const topic = 'smartmeter/METER001/command/balance';

describe('The connection that nodes publish through', function () {
  this.timeout(20_000);
  let test: TestBroker;
  let line: FaultProxy;
  let meter: MqttClient;
  const heard: string[] = [];
  const links: MqttLink[] = [];

  before(async () => {
    test = await startTestBroker();
    line = await startFaultProxy({ host: '127.0.0.1', port: test.port });
    meter = await hearing(test.port, heard);
  });
  afterEach(async () => {
    line.pass();
    for (const link of links.splice(0)) await link.close();
    heard.length = 0;
  });
  after(async () => {
    await meter.endAsync(true);
    await line.close();
    await test.broker.close({ drainMs: 0 });
  });

  function open(more: Partial<MqttLinkOptions> = {}): MqttLink {
    const { user: username, password } = as('backend');
    const link = openMqttLink({
      host: '127.0.0.1',
      port: line.port,
      tls: false,
      clientId: `link-${Math.random()}`,
      username,
      password,
      timeoutMs: 600,
      ...more,
    });
    links.push(link);
    return link;
  }

  /** A meter that writes down its commands. */
  async function hearing(port: number, into: string[]): Promise<MqttClient> {
    const { id, user, password } = as('METER001');
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
      clientId: id,
      username: user,
      password,
      reconnectPeriod: 50,
    });
    client.on('message', (_topic, payload) => into.push(payload.toString()));
    await client.subscribeAsync('smartmeter/METER001/command/#', { qos: 1 });
    return client;
  }

  const say = (link: MqttLink, payload: string): Promise<void> =>
    link.publish({ topic, payload, qos: 1, retain: false });
  const connects = (): number => test.sink.of('connected').filter(({ kind }) => kind === 'account').length;

  it('is opened by the first publication, and is one for all of them', async () => {
    const before = connects();
    const link = open();
    const texts = Array.from({ length: 100 }, (_, n) => `${n}`);
    assert.equal(connects(), before, 'who needs the address only opens none');
    await Promise.all(texts.map((text) => say(link, text)));
    await eventually(() => assert.deepEqual(heard, texts));
    assert.equal(connects(), before + 1);
  });

  it('can be opened before there is something to say', async () => {
    const before = connects();
    await open().ready();
    await eventually(() => assert.equal(connects(), before + 1));
  });

  it('says that the broker is away, and why; what was refused so is not sent when it is back', async () => {
    const port = await freePort();
    const link = open({ port });
    const away = { code: 'BROKER_UNAVAILABLE', message: /ECONNREFUSED/ };
    await assert.rejects(say(link, 'too early'), away);
    await assert.rejects(link.ready(), away);
    const late = await startTestBroker({}, { port });
    const commands: string[] = [];
    const other = await hearing(port, commands);
    await eventually(() => say(link, 'in time'));
    await eventually(() => assert.deepEqual(commands, ['in time']));
    await other.endAsync(true);
    await late.broker.close({ drainMs: 0 });
  });

  it('says that a publication was not acknowledged, and does not send it behind newer ones later', async () => {
    const link = open();
    await say(link, 'first');
    line.swallowAnswers();
    await assert.rejects(say(link, 'unanswered'), {
      code: 'BROKER_UNAVAILABLE',
      message: `The broker at 127.0.0.1:${line.port} did not answer within 0.6 s.`,
    });
    line.cut();
    line.pass();
    await eventually(() => say(link, 'newer'));
    await eventually(() => assert.equal(heard.at(-1), 'newer'));
    assert.deepEqual(heard, ['first', 'unanswered', 'newer'], 'it had come, and comes no second time');
  });

  it('says why when the broker does not take the login', async () => {
    await assert.rejects(open({ password: 'wrong' }).ready(), {
      code: 'BROKER_UNAVAILABLE',
      message: /Not authorized/,
    });
  });

  it('comes back by itself after a cut, for the next publication', async () => {
    const link = open({ timeoutMs: 5_000 });
    await say(link, 'before');
    line.cut();
    const pending = say(link, 'after');
    line.pass();
    await pending;
    await eventually(() => assert.equal(heard.at(-1), 'after'));
  });

  it('leaves nobody waiting when it is closed', async () => {
    const link = open({ timeoutMs: 5_000 });
    await say(link, 'one');
    line.swallowAnswers();
    const outcome = assert.rejects(say(link, 'two'), { code: 'BROKER_UNAVAILABLE', message: /is closed/ });
    await eventually(() => assert.equal(heard.at(-1), 'two'));
    const begun = Date.now();
    await link.close();
    await outcome;
    assert.ok(Date.now() - begun < 4_000, 'not only by the deadline');
  });

  it('reaches a broker that listens on every interface through loopback', () => {
    assert.deepEqual(['0.0.0.0', '::', '10.0.0.1'].map(reachable), ['127.0.0.1', '127.0.0.1', '10.0.0.1']);
  });
});

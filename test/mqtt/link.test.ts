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

  describe('subscribes', () => {
    const answers = (name: string): string => `meters/${name}/token/response`;

    function saying(name: string, payload: string): Promise<void> {
      return test.broker.publish({ topic: answers(name), payload, qos: 1 });
    }

    it('and misses nothing that is published once the broker has granted it', async () => {
      const link = open();
      const got: string[] = [];
      const end = await link.subscribe(answers('METER001'), (on, payload) =>
        got.push(`${on} ${payload.toString()}`),
      );
      await saying('METER001', 'one');
      await saying('METER002', 'of another');
      await eventually(() => assert.deepEqual(got, [`${answers('METER001')} one`]));
      await end();
      await saying('METER001', 'two');
      await link.publish({ topic, payload: 'behind it', qos: 1, retain: false });
      await eventually(() => assert.equal(heard.at(-1), 'behind it'));
      assert.equal(got.length, 1, 'it has ended');
    });

    it('once for all who listen, until the last of them ends', async () => {
      const link = open();
      const counts = [0, 0, 0];
      const ends = await Promise.all(
        counts.map((_, n) => link.subscribe(answers('METER001'), () => (counts[n] = (counts[n] ?? 0) + 1))),
      );
      await saying('METER001', 'one');
      await eventually(() => assert.deepEqual(counts, [1, 1, 1]));
      await ends[0]?.();
      await ends[0]?.();
      await saying('METER001', 'two');
      await eventually(() => assert.deepEqual(counts, [1, 2, 2]));
      await Promise.all([ends[1]?.(), ends[2]?.()]);
      // At once again: the UNSUBSCRIBE before must not take it away.
      await link.subscribe(answers('METER001'), () => (counts[0] = 10));
      await saying('METER001', 'three');
      await eventually(() => assert.deepEqual(counts, [10, 2, 2]));
    });

    it('a thousand topics at once, and ends them all', async () => {
      const link = open({ timeoutMs: 10_000 });
      const got = new Set<string>();
      const names = Array.from({ length: 1_000 }, (_, n) => `M${n}`);
      const ends = await Promise.all(names.map((name) => link.subscribe(answers(name), (on) => got.add(on))));
      for (const name of names) await saying(name, 'yes');
      await eventually(() => assert.equal(got.size, 1_000));
      await Promise.all(ends.map((end) => end()));
      got.clear();
      await saying('M1', 'yes');
      const again = await link.subscribe(answers('M2'), (on) => got.add(on));
      await saying('M2', 'yes');
      await eventually(() => assert.deepEqual([...got], [answers('M2')]));
      await again();
    });

    it('again after the connection was lost, also what was not granted yet', async () => {
      const link = open({ timeoutMs: 8_000 });
      const got: string[] = [];
      await link.subscribe(answers('METER001'), (_on, payload) => got.push(payload.toString()));
      line.swallowAnswers();
      const second = link.subscribe(answers('METER002'), (_on, payload) => got.push(payload.toString()));
      line.cut();
      line.pass();
      await second;
      await saying('METER001', 'one');
      await saying('METER002', 'two');
      await eventually(() => assert.deepEqual(got, ['one', 'two']));
    });

    it('and says when the broker refuses, does not answer, or nobody waits any more', async () => {
      const link = open();
      await assert.rejects(
        link.subscribe('energy/secret', () => {}),
        { code: 'SUBSCRIPTION_REFUSED', message: /energy\/secret/ },
      );
      let got = 0;
      await link.subscribe(answers('METER001'), () => (got += 1));
      await saying('METER001', 'one');
      await eventually(() => assert.equal(got, 1, 'the others are as they were'));
      line.swallowAnswers();
      await assert.rejects(
        link.subscribe(answers('METER002'), () => {}),
        { code: 'BROKER_UNAVAILABLE' },
      );
      line.pass();
      const gone = new AbortController();
      const waiting = link.subscribe(answers('M3'), () => {}, gone.signal);
      gone.abort(new Error('the caller is gone'));
      await assert.rejects(waiting, /the caller is gone/);
      await assert.rejects(
        link.subscribe(answers('M3'), () => {}, gone.signal),
        /the caller is gone/,
      );
    });
  });

  it('reaches a broker that listens on every interface through loopback', () => {
    assert.deepEqual(['0.0.0.0', '::', '10.0.0.1'].map(reachable), ['127.0.0.1', '127.0.0.1', '10.0.0.1']);
  });
});

import assert from 'node:assert/strict';
import { connectAsync } from 'mqtt';
import { openMqttLink } from '../../src/mqtt/link.js';
import { eventually } from '../support/eventually.js';
import { startMosquitto } from '../support/mosquitto.js';
import { house, houseForEach, inject, injections } from './house-for-each.js';
import { drn, openInjectionHouse, otherToken, records, tokenOf, wanted } from './injection-house.js';

describe('A token injection and the broker', () => {
  houseForEach();

  it('is ended by a close, with a record that says so and can be completed', async () => {
    const own = house.open();
    const first = own.inject(wanted, 'tester');
    await eventually(() => assert.equal(house.calls.length, 1));
    const second = own.inject({ ...wanted, credit_token: otherToken }, 'tester');
    await eventually(() => assert.equal(own.counts.waiting, 2));
    await own.close();
    const [one, two] = await Promise.all([first, second]);
    assert.deepEqual([one.statusCode, two.statusCode], [504, 503]);
    assert.match(one.body.message, /stopped/);
    const after = await own.inject(wanted, 'tester');
    assert.equal(after.statusCode, 503);
    assert.equal((await house.record())['status'], 'unanswered');
    const said = { topic: `meters/${drn}/token/response`, meter_id: 'METER001', received_at: Date.now() };
    const [late] = await injections.hear(
      [{ ...said, payload: JSON.stringify(records(2)) }],
      AbortSignal.timeout(5_000),
    );
    assert.equal(late?.id, one.body.injection_id);
    assert.equal(await house.balance(), '2.0000');
  });

  it('leaves nothing subscribed when it is answered, times out, is refused, given up or closed', async () => {
    const mosquitto = await startMosquitto();
    const there = { host: '127.0.0.1', port: mosquitto.port };
    const far = await openInjectionHouse(there);
    const meters = await connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`);
    let subscriptions = -1;
    meters.on('message', (_topic, payload) => (subscriptions = Number(payload.toString())));
    await meters.subscribeAsync('$SYS/broker/subscriptions/count');
    // Mosquitto counts every second; the watcher is one.
    const counted = (count: number): Promise<unknown> =>
      eventually(() => assert.equal(subscriptions, count), { timeoutMs: 15_000 });
    const own = far.open({ responseTimeoutMs: 300 });
    const told = async (n: number): Promise<number> =>
      (await own.inject({ ...wanted, credit_token: tokenOf(n) }, 'tester')).statusCode;
    far.onOrder = async ({ credit_token }) => {
      const answer = { status: 'success', injected_units: 2, credit_token };
      await meters.publishAsync(`meters/${drn}/token/response`, JSON.stringify(answer));
      return { status: 202 };
    };
    try {
      await counted(1);
      assert.equal(await told(1), 200);
      far.onOrder = () => ({ status: 202 });
      assert.equal(await told(2), 504);
      far.onOrder = () => ({ status: 422 });
      assert.equal(await told(3), 502);
      far.onOrder = () => ({ status: 202 });
      const patient = far.open();
      const gone = new AbortController();
      const waiting = patient.inject({ ...wanted, credit_token: tokenOf(4) }, 'tester', gone.signal);
      // Its number and its meter_id.
      await counted(3);
      gone.abort();
      await patient.close();
      assert.equal((await waiting).statusCode, 504);
      await counted(1);
    } finally {
      await meters.endAsync(true);
      await far.close();
      await mosquitto.remove();
    }
  });

  it('goes on after a restart of the broker in mid-wait', async () => {
    const waiting = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    await house.restartBroker();
    // Only when it is subscribed again the answer can be heard; meters repeat what was not acknowledged.
    let isOver = false;
    void waiting.finally(() => (isOver = true));
    await eventually(
      async () => {
        if (!isOver) await house.say(drn, records(2));
        return isOver;
      },
      { intervalMs: 100 },
    );
    assert.equal((await waiting).body.injected_units, 2);
    assert.equal(await house.balance(), '2.0000');
  });

  it('is not sent while the broker is away: 503, and nobody is bound to anything', async () => {
    const { port } = house.broker;
    await house.link.ready();
    await house.broker.broker.close({ drainMs: 0 });
    const link = openMqttLink({
      host: '127.0.0.1',
      port,
      tls: false,
      clientId: 'away',
      username: '',
      password: '',
      timeoutMs: 200,
    });
    const { outcome, statusCode, body } = await house.open({ link }).inject(wanted, 'tester');
    await link.close();
    assert.deepEqual([outcome, statusCode, body.error?.code], ['failed', 503, 'BROKER_UNAVAILABLE']);
    assert.equal(house.calls.length, 0);
    const record = await house.record();
    assert.deepEqual(
      [record['status'], record['code'], record['sent_at']],
      ['failed', 'BROKER_UNAVAILABLE', null],
    );
    await house.restartBroker();
    house.meterSays(records(2));
    assert.equal((await inject()).statusCode, 200);
  });

  it('is not sent when the broker refuses the subscription', async () => {
    const own = house.open({ topic: 'energy/{meter_number}/secret' });
    const { statusCode, body } = await own.inject(wanted, 'tester');
    assert.deepEqual([statusCode, body.error?.code], [503, 'SUBSCRIPTION_REFUSED']);
    assert.equal(house.calls.length, 0);
  });

  it('hears by the broker’s deliveries what its subscription missed', async () => {
    const first = inject();
    await eventually(() => assert.equal(house.calls.length, 1));
    const payload = JSON.stringify(records(2));
    const said = {
      topic: `meters/${drn}/token/response`,
      meter_id: 'METER001',
      received_at: Date.now(),
      payload,
    };
    assert.deepEqual(await injections.hear([said], AbortSignal.timeout(5_000)), []);
    assert.equal((await first).statusCode, 200);
  });
});

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { openDatabase } from '../../src/database/database.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import type { DeviceEvent } from '../../src/events/device-event.js';
import { createEventLog } from '../../src/events/event-log.js';
import { claimEvents, countOpenEvents } from '../../src/events/event-store.js';
import { startEventRelay, type EventRelay, type EventRelayOptions } from '../../src/events/relay.js';
import { replayEvents, replayRequest } from '../../src/events/replay.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startTestBroker } from '../support/broker.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';
import { brokers, eventOf, linkTo, listen, livesOf, type Heard } from './ears.js';

const caller = { name: 'demo', address: '127.0.0.1' };
const { signal } = new AbortController();

describe('Device events', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let registry: Registry;
  let closing: (() => Promise<unknown>)[] = [];
  let heard: Heard[] = [];
  beforeEach(async () => {
    test = await createTestDatabase();
    registry = createRegistry(test.database);
    heard = [];
  });
  afterEach(async () => {
    for (const close of closing.toReversed()) await close();
    closing = [];
    await test.drop();
  });

  /** `patienceMs`: how long it waits for broker and database. */
  function relay(
    port: number,
    options: Partial<EventRelayOptions> = {},
    { url = test.url, patienceMs = 10_000 }: { url?: string; patienceMs?: number } = {},
  ): EventRelay {
    const database = openDatabase({ url, connectionsMax: 3, queryTimeoutMs: patienceMs });
    const link = linkTo(port, { timeoutMs: patienceMs });
    const started = startEventRelay(database, link, { instance: 'one', ...options });
    closing.push(
      () => database.close(),
      () => link.close(),
      () => started.close(),
    );
    return started;
  }

  async function hear(port: number): Promise<void> {
    const client = await listen(port, heard);
    closing.push(() => client.endAsync(true));
  }

  const sql = (text: string) => test.database.query({ text });
  const addDevices = (count: number) =>
    sql(`insert into devices (id, meter_id, type, mqtt_user, password_hash)
         select 'D' || n, 'D' || n, 'sensor', 'D' || n, '\\x00' from generate_series(1, ${count}) n`);
  const logged = async () => {
    const events: DeviceEvent[] = [];
    for (let after = 0; ;) {
      const { data, next } = await createEventLog(test.database).read({ after, limit: 1000 });
      if (data.length === 0) return events;
      for (const { id: _, ...event } of data) events.push(event);
      after = next;
    }
  };
  /** Every event of the log was heard, in order for each device. */
  async function allWasHeard(): Promise<void> {
    await eventually(async () => (await countOpenEvents(test.database)) === 0, { timeoutMs: 30_000 });
    const told = new Map<string, string[]>();
    for (const { device_id: id, timestamp } of await logged())
      told.set(id, [...(told.get(id) ?? []), timestamp]);
    await eventually(() => assert.deepEqual(livesOf(heard), told));
  }

  for (const [name, start] of brokers) {
    describe(`through ${name}`, () => {
      let port: number;
      beforeEach(async () => {
        const broker = await start();
        port = broker.port;
        closing.push(() => broker.stop());
      });

      it('are published as they happen: topic, QoS 1, not retained, and every field of the payload [M-8]', async () => {
        await hear(port);
        relay(port);
        const input = {
          type: 'hvac',
          name: 'HVAC Unit 1',
          location: 'Building A - Floor 2',
          base_power: 25.5,
        };
        const { device } = await registry.create(input, caller);
        const changed = await registry.update(device.id, { location: null, base_voltage: 240 }, caller);
        await registry.remove(device.id, caller);
        await eventually(() => heard.length === 3);
        const { id, created_at } = device;
        const first =
          `{"id":"${id}","name":"HVAC Unit 1","type":"hvac","location":"Building A - Floor 2","status":"offline",` +
          `"base_power":25.5,"base_voltage":null,"meter_id":"${id}","drn":null,` +
          `"created_at":"${created_at}","updated_at":"${device.updated_at}"}`;
        const last = first
          .replace('"Building A - Floor 2"', 'null')
          .replace('"base_voltage":null', '"base_voltage":240')
          .replace(`"updated_at":"${device.updated_at}"`, `"updated_at":"${changed.updated_at}"`);
        const times = heard.map((one) => eventOf(one).timestamp);
        const expected = (
          [
            ['device.created', first],
            ['device.updated', last],
            ['device.deleted', last],
          ] as const
        ).map(([type, data], index) => ({
          topic: `energy/events/devices/${id}/${type}`,
          text:
            `{"event_type":"${type}","device_id":"${id}","timestamp":"${times[index]}","device_data":${data},` +
            `"metadata":{"source":"data-ingestion-service"}}`,
          qos: 1,
          retain: false,
        }));
        assert.deepEqual(heard, expected);
        for (const time of times) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      });

      it('of one device are in order under 50 changes at once, also with two relays', async () => {
        await hear(port);
        relay(port, { batchMax: 3 });
        relay(port, { instance: 'two', batchMax: 3 });
        await addDevices(20);
        await Promise.all(
          Array.from({ length: 50 }, (_, index) => registry.update('D1', { name: `Name ${index}` }, caller)),
        );
        await allWasHeard();
        assert.equal(livesOf(heard).get('D1')?.length, 51);
        assert.equal(heard.length, 70, 'none came twice');
      });
    });
  }

  describe('wake a relay', () => {
    let port: number;
    beforeEach(async () => {
      const broker = await startTestBroker();
      port = broker.port;
      closing.push(() => broker.broker.close({ drainMs: 0 }));
      await addDevices(2);
    });

    it('unless one is awake for another event of the last second', async () => {
      let notices = 0;
      const listener = { handler: () => void (notices += 1), reset: () => undefined };
      const stop = await test.database.listen('device_events_changed', listener);
      closing.push(stop);
      // Notices come in the order of the commits: whatever was to come is there with the mark.
      const wake = async (): Promise<number> => {
        const before = notices;
        await sql(`update devices set name = gen_random_uuid()::text where id = 'D1'`);
        let marked = false;
        const stopMark = await test.database.listen('mark', {
          handler: () => void (marked = true),
          reset: () => undefined,
        });
        await sql(`select pg_notify('mark', '')`);
        await eventually(() => marked);
        await stopMark();
        return notices - before;
      };
      await sql(`update device_events set published_at = now()`);
      assert.equal(await wake(), 1);
      assert.equal(await wake(), 0, 'the first is open');
      await sql(`update device_events set occurred_at = occurred_at - interval '2 seconds'`);
      assert.equal(await wake(), 1, 'somebody left them there');
      await sql(`update device_events set published_at = now()`);
      assert.equal(await wake(), 1);
    });

    it('which looks again, lest a silent change that is committed late wait for the next poll', async () => {
      await hear(port);
      const one = relay(port);
      await allWasHeard();
      const lags: number[] = [];
      for (let round = 1; round <= 10; round++) {
        one.pause();
        await sql(`update devices set name = 'first ${round}' where id = 'D1'`);
        await test.database.transaction(async (tx) => {
          await tx.query({ text: `update devices set name = 'second ${round}' where id = 'D2'` });
          one.resume();
          await eventually(() => heard.some(({ text }) => text.includes(`"first ${round}"`)));
        });
        const committed = performance.now();
        await eventually(() => heard.some(({ text }) => text.includes(`"second ${round}"`)), {
          intervalMs: 2,
        });
        lags.push(performance.now() - committed);
      }
      const mean = lags.reduce((sum, lag) => sum + lag, 0) / lags.length;
      // A relay that only polled would need half a second.
      assert.ok(mean < 250, `mean ${mean} ms`);
    });
  });

  for (const keepDays of [undefined, 9])
    it(`are kept ${keepDays === undefined ? 'for ever' : `for ${keepDays} days`} when the relay is told so`, async () => {
      const { broker, port } = await startTestBroker();
      closing.push(() => broker.close({ drainMs: 0 }));
      await addDevices(1);
      await sql(`update devices set name = 'now'`);
      await sql(
        `update device_events set occurred_at = occurred_at - interval '10 days', published_at = now()`,
      );
      const kept = async () => (await logged()).map(({ event_type }) => event_type);
      assert.equal((await kept()).length, 2);
      await hear(port);
      relay(port, { keepDays });
      if (keepDays !== undefined)
        await eventually(async () => assert.deepEqual(await kept(), ['device.updated']));
      // It has looked at the log by the time that something new has left.
      await sql(`insert into devices (id, meter_id, type, mqtt_user, password_hash)
                 values ('NEW', 'NEW', 'sensor', 'NEW', '\\x00')`);
      await eventually(() => heard.length === 1);
      assert.equal((await kept()).length, keepDays === undefined ? 3 : 2);
    });

  describe('through a broker that breaks', () => {
    let mosquitto: Mosquitto;
    beforeEach(async () => {
      mosquitto = await startMosquitto();
      closing.push(() => mosquitto.remove());
    });

    it('wait while it is away, and leave in order once it is back', async () => {
      const line = await startFaultProxy({ host: '127.0.0.1', port: mosquitto.port });
      closing.push(() => line.close());
      const reasons: (string | null)[] = [];
      const one = relay(line.port, { onState: (reason) => reasons.push(reason) }, { patienceMs: 1_000 });
      await hear(mosquitto.port);
      await addDevices(1000);
      await allWasHeard();
      line.cut();
      await mosquitto.stop('SIGKILL');
      await sql(`update devices set location = 'Roof'`);
      await sql(`update devices set name = id`);
      await sql(`delete from devices where length(id) = 4`);
      await eventually(() => one.open === 2900 && /did not answer|was lost/.test(String(reasons.at(-1))));
      await mosquitto.start();
      // Whoever is not there yet hears nothing of what leaves meanwhile: MQTT keeps nothing for strangers.
      const before = heard.splice(0);
      await hear(mosquitto.port);
      line.pass();
      await eventually(() => heard.length >= 2900, { timeoutMs: 30_000 });
      heard.unshift(...before);
      await allWasHeard();
      assert.equal(reasons.at(-1), null);
    });

    it('are published again, in order, when it breaks off in the middle', async () => {
      const line = await startFaultProxy({ host: '127.0.0.1', port: mosquitto.port });
      closing.push(() => line.close());
      await hear(mosquitto.port);
      relay(line.port, { batchMax: 50 }, { patienceMs: 1_000 });
      for (const round of [1, 2, 3]) {
        if (round === 1) await addDevices(500);
        else await sql(`update devices set name = '${round}'`);
        await eventually(() => heard.length > round * 200);
        // The broker has got some of which we never hear.
        line.swallowAnswers();
        await sql(`update devices set location = '${round}'`);
        await eventually(() => line.connections === 0 || heard.length > round * 200 + 50);
        line.cut();
        line.pass();
      }
      await allWasHeard();
    });

    it('of an instance that is killed are taken over by another one', async () => {
      const line = await startFaultProxy({ host: '127.0.0.1', port: mosquitto.port });
      closing.push(() => line.close());
      await hear(mosquitto.port);
      await addDevices(20);
      line.swallowAnswers();
      const child = fork(join(__dirname, 'relay-process.ts'), [test.url, String(line.port), '7'], {
        execArgv: ['--require', 'tsx/cjs'],
      });
      closing.push(async () => void child.kill('SIGKILL'));
      line.pass();
      await eventually(() => line.connections > 0);
      await allWasHeard();
      line.swallowAnswers();
      await sql(`update devices set location = 'Roof'`);
      const held = `select from device_events where claimed_by like 'killed/%' and claimed_until > now()`;
      await eventually(async () => (await sql(held)).rowCount === 20);
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
      relay(mosquitto.port, { instance: 'two' });
      await sql(`update devices set name = 'later'`);
      await sql(`insert into devices (id, meter_id, type, mqtt_user, password_hash)
                 values ('FREE', 'FREE', 'sensor', 'FREE', '\\x00')`);
      // Others do not wait for what the killed one had.
      await eventually(() => heard.some(({ topic }) => topic.includes('FREE')));
      assert.equal((await sql(held)).rowCount, 20);
      await allWasHeard();
    });

    it('that an earlier run of the instance had claimed leave at once', async () => {
      await hear(mosquitto.port);
      await addDevices(3);
      const claimer = { instance: 'one', run: 'earlier', relay: '1' };
      await claimEvents(test.database, { most: 2, claimer, seconds: 600 });
      relay(mosquitto.port);
      await allWasHeard();
    });

    it('are written down as published when the database comes back', async () => {
      const { hostname, port } = new URL(test.url);
      const line = await startFaultProxy({ host: hostname, port: Number(port) });
      closing.push(() => line.close());
      await hear(mosquitto.port);
      relay(mosquitto.port, { claimSeconds: 8 }, { url: through(line, test.url), patienceMs: 2_000 });
      await addDevices(1);
      await allWasHeard();
      cutAt(line, heard);
      await addMore(300);
      await allWasHeard();
    });

    /** Away as soon as something more was heard, which is before it is written down. */
    function cutAt(line: FaultProxy, ears: readonly Heard[]): void {
      const before = ears.length;
      const timer = setInterval(() => {
        if (ears.length === before) return;
        clearInterval(timer);
        line.cut();
        setTimeout(() => line.pass(), 300);
      }, 1);
      closing.push(async () => clearInterval(timer));
    }

    const addMore = (count: number) =>
      sql(`insert into devices (id, meter_id, type, mqtt_user, password_hash)
           select 'E' || n, 'E' || n, 'sensor', 'E' || n, '\\x00' from generate_series(1, ${count}) n`);

    describe('are published again on request', () => {
      beforeEach(async () => {
        await hear(mosquitto.port);
        relay(mosquitto.port);
        await addDevices(3);
        await allWasHeard();
        await sql(`update devices set location = 'Roof'`);
        await allWasHeard();
      });

      async function replay(payload: object): Promise<{ count: number; again: readonly Heard[] }> {
        const link = linkTo(mosquitto.port);
        closing.push(() => link.close());
        const before = heard.length;
        const told: DeviceEvent[] = [];
        const count = await replayEvents(test.database, link, replayRequest(payload), {
          signal,
          onReplayed: (events) => told.push(...events),
        });
        await eventually(() => heard.length === before + count);
        const again = heard.slice(before);
        assert.deepEqual(told, again.map(eventOf));
        return { count, again };
      }

      it('exactly as they were, in order, from the beginning', async () => {
        const before = [...heard];
        const { count, again } = await replay({ from: 'beginning' });
        assert.equal(count, 6);
        assert.deepEqual(again, before);
      });

      it('since a time', async () => {
        const before = heard.slice(3);
        const { again } = await replay({ from: eventOf(before[0] as Heard).timestamp });
        assert.deepEqual(again.slice(-3), before);
        assert.ok(
          again.every((one) => eventOf(one).timestamp >= eventOf(before[0] as Heard).timestamp.slice(0, 23)),
        );
        assert.equal((await replay({ from: new Date(Date.now() + 60_000).toISOString() })).count, 0);
      });

      it('of one device', async () => {
        const { again } = await replay({ device_id: 'D2' });
        assert.deepEqual(
          again,
          heard.slice(0, 6).filter((one) => eventOf(one).device_id === 'D2'),
        );
        assert.equal(again.length, 2);
      });

      for (const payload of [{ from: 'yesterday' }, { from: '2026-02-31T00:00:00Z' }, { device_id: 7 }])
        it(`but not for ${JSON.stringify(payload)}`, () => {
          assert.throws(() => replayRequest(payload), { code: 'SCHEMA_INVALID' });
        });
    });
  });
});

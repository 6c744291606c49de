import { strict as assert } from 'node:assert';
import { createReplay } from '../../src/readings/replay.js';
import { eventually } from '../support/eventually.js';
import { countIn, storedIn, withManager } from '../support/nats.js';
import { natsHouse, type NatsHouse } from './nats-house.js';

describe('nats-forward in a flow', () => {
  let house: NatsHouse;

  beforeEach(async () => {
    house = await natsHouse();
  });
  afterEach(() => house.remove());

  it('every accepted message is in JetStream: topic, payload byte for byte, device, meter, QoS and time', async () => {
    await house.start();
    const { id } = house.device;
    const client = await house.connect();
    const before = Date.now();
    const binary = Buffer.from([0, 255, 254, 13, 10, 128]);
    const sent: [string, string | Buffer, 0 | 1 | 2][] = [
      ['meters/METER001/readings', reading(60), 1],
      ['smartmeter/METER001/consumption', report(), 1],
      ['smartmeter/METER001/status', '{"status":"online"}', 1],
      [`devices/${id}/telemetry`, '{"power_kw":1}', 2],
      [`devices/${id}/bytes`, binary, 1],
      [`devices/${id}/a b.c/*/>/%//ä`, 'odd', 1],
      [`devices/${id}/empty`, '', 1],
      [`devices/${id}/live`, 'at most once', 0],
      ['meters/METER001/readings', reading(30), 0],
    ];
    for (const [topic, payload, qos] of sent) await client.publishAsync(topic, payload, { qos });
    const stored = await eventually(async () => {
      const messages = await storedIn(house.nats);
      return messages.length >= sent.length && messages;
    });
    assert.equal(stored.length, sent.length);
    for (const [topic, payload, qos] of sent) {
      const subject = `meterflow.${topic
        .replace('a b.c', 'a%20b%2Ec')
        .replace('/*/>/%//ä', '/%2A/%3E/%25/%00/ä')
        .replaceAll('/', '.')}`;
      const bytes = Buffer.from(payload);
      const message = stored.find((one) => one.subject === subject && one.payload.equals(bytes));
      assert.ok(message, `${subject} ${String(payload)} among ${stored.map((one) => one.subject).join(' ')}`);
      assert.equal(message.header('Meterflow-Device'), id);
      assert.equal(message.header('Meterflow-Meter'), 'METER001');
      assert.equal(message.header('Meterflow-Qos'), String(qos));
      const received = Date.parse(message.header('Meterflow-Received'));
      assert.ok(received >= before - 1 && received <= Date.now());
      assert.notEqual(message.header('Nats-Msg-Id'), '');
    }
    assert.equal(new Set(stored.map((one) => one.header('Nats-Msg-Id'))).size, sent.length);
  });

  it('what is refused never leaves; of an array with some refused readings all of it does, saying how many', async () => {
    await house.start();
    const client = await house.connect();
    await client.publishAsync('meters/METER001/readings', reading(60, 999), { qos: 1 });
    await client.publishAsync('meters/METER001/readings', '{', { qos: 1 });
    await client.publishAsync('meters/METER001/readings', reading(60, -1), { qos: 0 });
    await client.publishAsync('smartmeter/METER001/consumption', 'no JSON', { qos: 1 });
    const some = `[${reading(300)},${reading(200, 999)},${reading(100)},{}]`;
    await client.publishAsync('meters/METER001/readings', some, { qos: 1 });
    await eventually(async () => (await countIn(house.nats)) >= 1);
    // The last one: what was sent before it came before it.
    await client.publishAsync('smartmeter/METER001/status', 'end', { qos: 1 });
    const stored = await eventually(async () => {
      const messages = await storedIn(house.nats);
      return messages.length >= 2 && messages;
    });
    assert.deepEqual(
      stored.map(({ payload, header }) => [payload.toString(), header('Meterflow-Refused')]),
      [
        [some, '2'],
        ['end', ''],
      ],
    );
  });

  it('what was in quarantine goes on once a replay has accepted it, and says so', async () => {
    await house.start();
    const client = await house.connect();
    const old = JSON.stringify({ kwh_amount: 0.25, reading_timestamp: Date.now() - 20 * 86_400_000 });
    await client.publishAsync('meters/METER001/readings', old, { qos: 1 });
    const { rows } = await house.test.database.query<{ id: string }>({
      text: 'select id from quarantined_messages',
    });
    const replay = createReplay(house.test.database);
    const caller = { name: 'operator', address: null };
    const none = { time: null, offsetMs: 0, ageMaxDays: null };
    const refused = await replay(rows[0]?.id ?? '', none, caller);
    assert.equal(refused.outcome, 'refused');
    assert.equal(await countIn(house.nats), 0);
    const replayed = await replay(rows[0]?.id ?? '', { ...none, ageMaxDays: 30 }, caller);
    assert.equal(replayed.outcome, 'stored');
    await eventually(async () => (await countIn(house.nats)) === 1);
    const [message] = await storedIn(house.nats);
    assert.equal(message?.payload.toString(), old);
    assert.equal(message?.subject, 'meterflow.meters.METER001.readings');
    assert.equal(message?.header('Meterflow-Replayed'), 'true');
  });

  it('what a meter sends again is there once; two equal messages of another kind are there twice', async () => {
    await house.start();
    const client = await house.connect();
    const repeated = reading(60);
    for (const round of [1, 2, 3]) {
      await client.publishAsync('meters/METER001/readings', repeated, { qos: 1 });
      await client.publishAsync('smartmeter/METER001/status', '{"status":"online"}', { qos: 1 });
      await client.publishAsync(`devices/${house.device.id}/round`, String(round), { qos: 1 });
    }
    const stored = await eventually(async () => {
      const messages = await storedIn(house.nats);
      return messages.some(({ payload }) => payload.toString() === '3') && messages;
    });
    assert.deepEqual(
      stored.map(({ payload }) => payload.toString()),
      [repeated, '{"status":"online"}', '1', '{"status":"online"}', '2', '{"status":"online"}', '3'],
    );
  });

  it('is off without an address: nothing is kept for it', async () => {
    await house.start({ url: '${NOT_SET}' });
    const client = await house.connect();
    await client.publishAsync('smartmeter/METER001/status', 'unforwarded', { qos: 1 });
    const { rows } = await house.test.database.query<{ n: number }>({
      text: 'select count(*)::int as n from forward_lanes',
    });
    assert.deepEqual(rows, [{ n: 0 }]);
  });

  it('makes the stream with the stated limits, and leaves one that is there as it is, saying what differs', async () => {
    const node = {
      maxAgeHours: '48',
      maxBytes: '1000000',
      duplicateSeconds: '60',
      stream: 'OURS',
      prefix: 'a.b',
    };
    const running = await house.start(node);
    const config = await eventually(() =>
      withManager(house.nats, async (manager) => (await manager.streams.info('OURS')).config),
    );
    assert.deepEqual(config.subjects, ['a.b.>']);
    assert.equal(config.max_age, 48 * 3600 * 1e9);
    assert.equal(config.max_bytes, 1_000_000);
    assert.equal(config.duplicate_window, 60e9);
    assert.equal(config.storage, 'file');
    await eventually(() => {
      assert.match(running.status('nats').text ?? '', /^connected · 0\/s · backlog 0 · lag 0 ms$/);
      assert.equal(running.status('nats').fill, 'green');
    });
    await house.stop();
    const other = await house.start({ ...node, maxAgeHours: '24' });
    await eventually(() => {
      assert.equal(other.status('nats').fill, 'yellow');
      assert.match(other.status('nats').text ?? '', /stream: max age is 48 h, not 24 h/);
    });
    const client = await house.connect();
    await client.publishAsync('meters/METER001/readings', reading(60), { qos: 1 });
    await eventually(async () => (await countIn(house.nats, 'OURS')) === 1);
  });
});

function reading(minutesAgo: number, kwh = 0.25): string {
  return JSON.stringify({ kwh_amount: kwh, reading_timestamp: Date.now() - minutesAgo * 60_000 });
}

function report(): string {
  const amounts = { unitsConsumed: 0.0048, remainingBalance: 5.2452 };
  return JSON.stringify({ meterNo: 'METER001', ...amounts, timestamp: Date.now() });
}

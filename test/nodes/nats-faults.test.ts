import { strict as assert } from 'node:assert';
import type { MqttClient } from 'mqtt';
import { eventually } from '../support/eventually.js';
import { startFaultProxy } from '../support/fault-proxy.js';
import { countIn, storedIn, withManager, type StoredMessage } from '../support/nats.js';
import { natsHouse, type NatsHouse } from './nats-house.js';

describe('nats-forward while something is away', function () {
  this.timeout(60_000);
  let house: NatsHouse;

  beforeEach(async () => {
    house = await natsHouse();
  });
  afterEach(() => house.remove());

  it('loses nothing and doubles nothing when NATS is killed at load and comes back with its store', async () => {
    const running = await house.start();
    const client = await house.connect();
    const sent = await sendWhile(client, house.device.id, async (sentYet) => {
      await eventually(async () => (await countIn(house.nats)) > 50);
      await house.nats.stop('SIGKILL');
      const before = sentYet();
      await eventually(() => sentYet() > before + 300);
      await eventually(() => assert.match(running.status('nats').text ?? '', /^NATS away · backlog [1-9]/));
      await house.nats.start();
    });
    await hasAll(sent);
    await eventually(() => assert.match(running.status('nats').text ?? '', /^connected .* backlog 0 /));
  });

  it('fills a stream that comes back empty, with what it had before, too', async () => {
    await house.start();
    const client = await house.connect();
    const first = await send(client, house.device.id, 'before', 200);
    await eventually(async () => (await countIn(house.nats)) === first.length);
    await house.nats.stop('SIGKILL');
    const second = await send(client, house.device.id, 'meanwhile', 200);
    await house.nats.start({ empty: true });
    const third = await send(client, house.device.id, 'after', 100);
    await hasAll([...first, ...second, ...third]);
  });

  it('fills a stream that was shortened, and sends nothing of what it still has', async () => {
    await house.start();
    const client = await house.connect();
    const first = await send(client, house.device.id, 'kept', 100);
    await eventually(async () => (await countIn(house.nats)) === first.length);
    // What a backup of it would bring back.
    await house.nats.stop();
    const backup = await house.nats.backup();
    await house.nats.start();
    const second = await send(client, house.device.id, 'lost by the server', 300);
    await eventually(async () => (await countIn(house.nats)) === first.length + second.length);
    await house.nats.stop();
    await house.nats.restore(backup);
    await house.nats.start();
    await hasAll([...first, ...second]);
  });

  it('makes the stream anew when somebody deletes it, and fills it', async () => {
    await house.start();
    const client = await house.connect();
    const first = await send(client, house.device.id, 'first', 50);
    await eventually(async () => (await countIn(house.nats)) === first.length);
    await withManager(house.nats, (manager) => manager.streams.delete('METERFLOW'));
    const second = await send(client, house.device.id, 'second', 50);
    await hasAll([...first, ...second]);
  });

  it('goes on from the cursor after a new start: no message twice, also when JetStream forgot the ids', async () => {
    await house.start({ duplicateSeconds: '1' });
    const client = await house.connect();
    const first = await send(client, house.device.id, 'first', 300);
    await eventually(async () => (await countIn(house.nats)) === first.length);
    await house.stop();
    const { rows } = await house.test.database.query<{ n: number }>({
      text: 'select count(*)::int as n from forward_marks',
    });
    assert.ok((rows[0]?.n ?? 0) > 0);
    // As if it had been killed before it wrote down how far it was: what the stream has is found in the stream.
    await house.test.database.query({
      text: 'delete from forward_marks where id > (select min(id) from forward_marks)',
    });
    await eventually(() => windowIsOver(first.length));
    await house.start({ duplicateSeconds: '1' });
    const again = await house.connect();
    const second = await send(again, house.device.id, 'second', 100);
    await hasAll([...first, ...second]);
  });

  it('acknowledges nothing while the database is away, and forwards it all afterwards', async () => {
    const server = new URL(house.test.url);
    const proxy = await startFaultProxy({ host: server.hostname, port: Number(server.port) });
    server.port = String(proxy.port);
    server.hostname = '127.0.0.1';
    try {
      await house.start({}, {}, server.href);
      const client = await house.connect();
      const first = await send(client, house.device.id, 'before', 50);
      await eventually(async () => (await countIn(house.nats)) === first.length);
      proxy.cut();
      let acknowledged = 0;
      const held = Array.from({ length: 50 }, (_, index) =>
        client
          .publishAsync(`devices/${house.device.id}/held`, `held ${index}`, { qos: 1 })
          .then(() => (acknowledged += 1)),
      );
      await eventually(() => proxy.connections === 0);
      assert.equal(acknowledged, 0);
      proxy.pass();
      await Promise.all(held);
      await hasAll([...first, ...held.map((_, index) => `held ${index}`)]);
    } finally {
      proxy.pass();
      await house.stop();
      await proxy.close();
    }
  });

  it('writes a row once when the answer to its commit breaks off', async () => {
    const server = new URL(house.test.url);
    const proxy = await startFaultProxy({ host: server.hostname, port: Number(server.port) });
    server.port = String(proxy.port);
    server.hostname = '127.0.0.1';
    try {
      await house.start({}, {}, server.href);
      const client = await house.connect();
      await send(client, house.device.id, 'prepares the statement', 1);
      proxy.resetAnswerTo('forward-journal-append', 3);
      const sent = await send(client, house.device.id, 'unsure', 100);
      assert.ok(proxy.resets > 0, 'an answer broke off');
      await hasAll(['prepares the statement 0', ...sent]);
      const { rows } = await house.test.database.query<{ n: number; total: number }>({
        text: `select (select sum(messages)::int from forward_journal) as n, total::int from forward_lanes`,
      });
      assert.deepEqual(rows, [{ n: 101, total: 101 }]);
    } finally {
      await house.stop();
      await proxy.close();
    }
  });

  it('keeps on over Deploys in the middle of the load', async () => {
    const running = await house.start();
    const client = await house.connect();
    const sent = await sendWhile(client, house.device.id, async (sentYet) => {
      for (let round = 0; round < 3; round++) {
        const before = sentYet();
        await eventually(() => sentYet() > before + 50);
        await running.redeploy();
      }
      await running.deploy('nodes', { nats: { passingMax: '77' } });
      const before = sentYet();
      await eventually(() => sentYet() > before + 50);
    });
    await hasAll(sent);
  });

  it('keeps the latest messages of QoS 0 while NATS is away, and counts those it drops', async () => {
    const running = await house.start({ passingMax: '20' });
    await eventually(() => assert.match(running.status('nats').text ?? '', /^connected/));
    await house.nats.stop('SIGKILL');
    const client = await house.connect();
    for (let index = 0; index < 50; index++)
      await client.publishAsync(`devices/${house.device.id}/live`, `live ${index}`, { qos: 0 });
    const dropped = (): number =>
      running
        .received('dropped')
        .reduce((sum, { payload }) => sum + (payload as { messages: number }).messages, 0);
    await eventually(() => assert.equal(dropped(), 30));
    const reasons = running.received('dropped').map(({ payload }) => (payload as { reason: string }).reason);
    assert.deepEqual([...new Set(reasons)], ['qos 0']);
    await house.nats.start();
    await hasAll(Array.from({ length: 20 }, (_, index) => `live ${index + 30}`));
  });

  it('passes over what the server never takes, counts it, and forwards what comes behind', async () => {
    await withManager(house.nats, (manager) =>
      manager.streams.add({ name: 'METERFLOW', subjects: ['meterflow.>'], max_msg_size: 2_000 }),
    );
    const running = await house.start();
    const client = await house.connect();
    const topic = `devices/${house.device.id}/size`;
    await client.publishAsync(topic, 'x'.repeat(3_000), { qos: 1 });
    await client.publishAsync(topic, 'small', { qos: 1 });
    await hasAll(['small']);
    await eventually(() => {
      const payload = running.received('dropped')[0]?.payload as { messages: number; reason: string };
      assert.deepEqual([payload.messages, payload.reason], [1, 'too large']);
    });
  });

  it('forwards a message of a topic too long for a subject, with the topic in a header', async () => {
    await house.start();
    const client = await house.connect();
    const topic = `devices/${house.device.id}/${'long'.repeat(2_500)}ä`;
    await client.publishAsync(topic, 'long', { qos: 1 });
    const [message] = await hasAll(['long']);
    assert.match(message?.subject ?? '', /^meterflow\.%LONG\.[0-9a-f]{64}$/);
    assert.equal(decodeURI(message?.header('Meterflow-Topic') ?? ''), topic);
  });

  it('says why, and waits, when another stream has our subjects', async () => {
    await withManager(house.nats, (manager) =>
      manager.streams.add({ name: 'OTHER', subjects: ['meterflow.>'] }),
    );
    const running = await house.start();
    await eventually(() => {
      assert.equal(running.status('nats').fill, 'red');
      assert.match(running.status('nats').text ?? '', /^NATS away · backlog 0 · subjects overlap/);
    });
    const client = await house.connect();
    const sent = await send(client, house.device.id, 'patient', 20);
    await withManager(house.nats, (manager) => manager.streams.delete('OTHER'));
    await hasAll(sent, 30_000);
  });

  it('keeps the order of a device over all its topics and kinds', async () => {
    await house.start();
    const client = await house.connect();
    const payloads: string[] = [];
    const acknowledged: Promise<unknown>[] = [];
    for (let index = 0; index < 600; index++) {
      const isReading = index % 3 === 0;
      const payload = isReading ? reading(index) : `other ${index}`;
      payloads.push(payload);
      const topic = isReading ? 'meters/METER001/readings' : `devices/${house.device.id}/${index % 2}`;
      acknowledged.push(client.publishAsync(topic, payload, { qos: index % 5 === 0 ? 2 : 1 }));
    }
    await Promise.all(acknowledged);
    const stored = await hasAll(payloads);
    assert.deepEqual(
      stored.map(({ payload }) => payload.toString()),
      payloads,
    );
  });

  /** Exactly these payloads, each once. */
  async function hasAll(payloads: readonly string[], timeoutMs = 20_000): Promise<StoredMessage[]> {
    await eventually(async () => assert.ok((await countIn(house.nats)) >= payloads.length), { timeoutMs });
    const stored = await storedIn(house.nats);
    const found = stored.map(({ payload }) => payload.toString());
    assert.deepEqual([...found].sort(), [...payloads].sort());
    return stored;
  }

  /** JetStream's window of a second has passed: an old id is taken again. */
  async function windowIsOver(messages: number): Promise<boolean> {
    return withManager(house.nats, async (manager) => {
      const last = await manager.streams.getMessage('METERFLOW', { seq: messages });
      return Date.now() - (last?.time.getTime() ?? Date.now()) > 2_000;
    });
  }
});

async function send(client: MqttClient, device: string, what: string, count: number): Promise<string[]> {
  const payloads = Array.from({ length: count }, (_, index) => `${what} ${index}`);
  await Promise.all(payloads.map((one) => client.publishAsync(`devices/${device}/log`, one, { qos: 1 })));
  return payloads;
}

/** Sends one message after the other until `work` is done. @returns all that were acknowledged, which is all */
async function sendWhile(
  client: MqttClient,
  device: string,
  work: (sentYet: () => number) => Promise<void>,
): Promise<string[]> {
  const sent: string[] = [];
  const over = new AbortController();
  const sending = (async () => {
    while (!over.signal.aborted) {
      const batch = Array.from({ length: 20 }, (_, index) => `message ${sent.length + index}`);
      await Promise.all(batch.map((one) => client.publishAsync(`devices/${device}/log`, one, { qos: 1 })));
      sent.push(...batch);
    }
  })();
  try {
    await work(() => sent.length);
  } finally {
    over.abort();
    await sending;
  }
  return sent;
}

function reading(index: number): string {
  return JSON.stringify({ kwh_amount: 0.25, reading_timestamp: Date.now() - (600 - index) * 10_000 });
}

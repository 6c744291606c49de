import assert from 'node:assert/strict';
import type { Delivery } from '../../src/broker/delivery.js';
import { createMessageStore } from '../../src/messages/message-store.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const { signal } = new AbortController();

describe('the store of other messages', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());

  it('keeps QoS 1 and 2 byte for byte and lets QoS 0 pass [M-13]', async () => {
    const store = createMessageStore(test.database);
    const bytes = Buffer.from([0, 1, 254, 255]);
    const text = '{"a":"\\", ü, {NULL}"}';
    await store.keep([message(1, text), message(0, 'telemetry'), message(2, bytes), message(1, '')], {
      signal,
    });
    const { rows } = await test.database.query<{
      qos: number;
      payload: Buffer;
      topic: string;
      received_at: Date;
    }>({
      text: 'select qos, payload, topic, received_at from device_messages order by id',
    });
    assert.deepEqual(
      rows.map(({ qos, payload }) => [qos, payload]),
      [
        [1, Buffer.from(text)],
        [2, bytes],
        [1, Buffer.alloc(0)],
      ],
    );
    assert.equal(rows[0]?.topic, 'devices/a"b\\c/log');
    assert.equal(rows[0]?.received_at.getTime(), Date.UTC(2026, 10, 20, 23, 59, 59, 999));
  });

  it('needs no database for nothing but QoS 0', async () => {
    await createMessageStore(test.database).keep([message(0, 'x')], { signal });
  });

  it('keeps what many callers bring at once', async () => {
    const store = createMessageStore(test.database);
    const calls = Array.from({ length: 50 }, () => Array.from({ length: 60 }, () => message(1, 'many')));
    await Promise.all(calls.map((messages) => store.keep(messages, { signal })));
    const { rows } = await test.database.query<{ count: number }>({
      text: `select count(*)::int as count from device_messages where payload = 'many'`,
    });
    assert.equal(rows[0]?.count, 3000);
  });
});

function message(qos: 0 | 1 | 2, payload: string | Buffer): Delivery {
  const received_at = Date.UTC(2026, 10, 20, 23, 59, 59, 999);
  const topic = 'devices/a"b\\c/log';
  return {
    delivery: 0,
    topic,
    pattern: 'devices/+/log',
    qos,
    payload,
    received_at,
    device_id: 'd',
    meter_id: 'm',
    user_id: null,
  };
}

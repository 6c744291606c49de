import { strict as assert } from 'node:assert';
import { createQuarantine } from '../../src/readings/quarantine.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

describe('quarantine-desk', () => {
  let test: TestDatabase;
  let id: number;
  beforeEach(async () => {
    test = await createTestDatabase();
    await test.database.query({
      text: `insert into devices (id, meter_id, type, mqtt_user, password_hash)
             values ('dev-1', 'M-1', 'meter', 'M-1', '')`,
    });
    await quarantine(JSON.stringify({ kwh_amount: 1, reading_timestamp: Date.now() - 600_000 }));
    const { rows } = await test.database.query<{ id: string }>({
      text: 'select id from quarantined_messages',
    });
    id = Number(rows[0]?.id);
  });
  afterEach(async () => {
    await stopFlow();
    await test.drop();
  });

  function quarantine(payload: string): Promise<void> {
    const place = { delivery: 0, part: 0, device_id: 'dev-1', meter_id: 'M-1', topic: 'meters/M-1/readings' };
    return createQuarantine(test.database).keep(
      [{ ...place, qos: 1, code: 'TOO_CLOSE', reason: 'Too close.', payload, received_at: Date.now() }],
      { signal: new AbortController().signal },
    );
  }

  const flow = (settings: object = {}): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    {
      id: 'desk',
      type: 'quarantine-desk',
      database: 'db',
      operation: 'operation',
      operationType: 'msg',
      wires: [['result'], ['refused']],
      ...settings,
    },
    { id: 'result', type: 'helper' },
    { id: 'refused', type: 'helper' },
  ];

  it('lists, counts, shows, replays and removes, by plain messages', async () => {
    const running = await startFlow(flow());
    const steps: [operation: string, payload: unknown][] = [
      ['list', { code: 'TOO_CLOSE', page: 1 }],
      ['count', ''],
      ['show', id],
      ['replay', { id, age_max_days: 3 }],
      ['replay-many', { code: 'TOO_CLOSE' }],
      ['remove', { id }],
    ];
    const answers: Record<string, unknown>[] = [];
    for (const [operation, payload] of steps) {
      running.send('desk', { operation, payload, ticket: 7 });
      await eventually(() => running.received('result').length === answers.length + 1);
      const answer = running.received('result').at(-1);
      assert.deepEqual([answer?.statusCode, answer?.['ticket']], [200, 7]);
      answers.push(answer?.payload as Record<string, unknown>);
    }
    const [list, counts, shown, replayed, many, removed] = answers;
    assert.equal(list?.['total'], 1);
    assert.deepEqual(counts, [{ code: 'TOO_CLOSE', open: 1, replayed: 0 }]);
    assert.equal(shown?.['id'], id);
    assert.deepEqual([replayed?.['outcome'], replayed?.['stored']], ['stored', 1]);
    assert.equal(many?.['matched'], 0);
    assert.equal(removed?.['replay_outcome'], 'stored');
  });

  it('takes the id of a request from its path, and the correction from its body', async () => {
    const running = await startFlow(flow());
    const req = { params: { id: String(id) }, ip: '10.0.0.7' };
    running.send('desk', { operation: 'replay', req, payload: { id: 5 }, caller: { name: 'olga' } });
    assert.deepEqual(outcome(await one(running, 'refused')), [400, 'SCHEMA_INVALID']);
    running.send('desk', { operation: 'replay', req, payload: {}, caller: { name: 'olga' } });
    assert.equal((await one(running, 'result')).statusCode, 200);
    const { rows } = await test.database.query({ text: 'select actor, address, subject from audit_log' });
    assert.deepEqual(rows, [{ actor: 'olga', address: '10.0.0.7', subject: String(id) }]);
  });

  it('refuses with the code of the rule that refuses the message again, by its own limits', async () => {
    const running = await startFlow(flow({ kwhMax: '0.5', spacingSeconds: '${NOT_SET}' }));
    running.send('desk', { operation: 'replay', payload: id });
    assert.deepEqual(outcome(await one(running, 'refused')), [422, 'KWH_OUT_OF_RANGE']);
  });

  it('refuses a second replay with 409, and an unknown message with 404', async () => {
    const running = await startFlow(flow());
    running.send('desk', { operation: 'replay', payload: id });
    await one(running, 'result');
    running.send('desk', { operation: 'replay', payload: id });
    assert.deepEqual(outcome(await one(running, 'refused')), [409, 'MESSAGE_REPLAYED']);
    running.send('desk', { operation: 'show', payload: 'x' });
    await eventually(() => running.received('refused').length === 2);
    assert.deepEqual(outcome(await one(running, 'refused')), [404, 'MESSAGE_UNKNOWN']);
  });

  it('keeps what a meter with a key sent refused, when no keyring is chosen', async () => {
    await test.database.query({
      text: `insert into device_keys (meter_id, algorithm, public_key) values ('M-1', 'ed25519', '\\x00')`,
    });
    const running = await startFlow(flow());
    running.send('desk', { operation: 'replay', payload: id });
    assert.deepEqual(outcome(await one(running, 'refused')), [422, 'SIGNATURE_INVALID']);
  });
});

async function one(running: RunningFlow, output: string): Promise<FlowMessage> {
  await eventually(() => running.received(output).length > 0);
  return running.received(output).at(-1) ?? {};
}

function outcome({ statusCode, payload }: FlowMessage): unknown[] {
  return [statusCode, (payload as { error?: { code: string } }).error?.code];
}

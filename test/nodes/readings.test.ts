import { strict as assert } from 'node:assert';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type FlowMessage } from './flow.js';

const quarterMs = 15 * 60_000;

describe('From reading-validator to reading-store', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  afterEach(() => stopFlow());

  const flow = (): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    {
      id: 'validator',
      type: 'reading-validator',
      kwhMax: '100',
      ageMaxDays: '',
      aheadMaxMinutes: '${NOT_SET}',
      schema: '',
      wires: [['store'], ['quarantine']],
    },
    {
      id: 'store',
      type: 'reading-store',
      database: 'db',
      spacingSeconds: '${READING_MIN_SPACING_SECONDS}',
      batchMax: '2000',
      lanes: '2',
      wires: [['stored'], ['duplicate'], ['quarantine']],
    },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [['quarantined']] },
    { id: 'stored', type: 'helper' },
    { id: 'duplicate', type: 'helper' },
    { id: 'quarantined', type: 'helper' },
  ];

  it('a batch leaves by outcome, is in the database then, and keeps what else was on the message', async () => {
    const running = await startFlow(flow());
    const now = Date.now();
    running.send('validator', {
      ticket: 7,
      payload: [
        reading('METER001', now - quarterMs),
        reading('METER001', now - quarterMs),
        reading('METER001', now),
        reading('METER001', now - quarterMs / 2),
        reading('METER002', now, 250),
        reading('METER002', now, '1.25'),
      ],
    });
    await eventually(() => countOf(running.received('quarantined')) === 3);
    await eventually(() => countOf(running.received('stored')) === 2);
    await eventually(() => countOf(running.received('duplicate')) === 1);
    assert.deepEqual(codesOf(running.received('quarantined')), [
      'KWH_OUT_OF_RANGE',
      'SCHEMA_INVALID',
      'TOO_CLOSE',
    ]);
    const [stored] = running.received('stored');
    assert.equal(stored?.topic, 'stored');
    assert.equal(stored?.['ticket'], 7);
    const { rows } = await test.database.query<{ stored: string; refused: string }>({
      text: `select (select count(*) from meter_readings) as stored, (select count(*) from quarantined_messages) as refused`,
    });
    assert.deepEqual(rows, [{ stored: '2', refused: '3' }]);
    await eventually(() => running.status('store').fill === 'green');
  });

  it('a single reading needs no array', async () => {
    const running = await startFlow(flow());
    running.send('validator', { payload: reading('METER009', Date.now()) });
    await eventually(() => countOf(running.received('stored')) === 1);
  });

  it('the integrator’s own schema refuses as well', async () => {
    const [db, validator, ...rest] = flow();
    assert.ok(db && validator);
    const schema = JSON.stringify({ properties: { kwh_amount: { maximum: 2 } } });
    const running = await startFlow([db, { ...validator, schema }, ...rest]);
    running.send('validator', { payload: reading('METER010', Date.now(), 3) });
    await eventually(() => countOf(running.received('quarantined')) === 1);
    assert.deepEqual(codesOf(running.received('quarantined')), ['SCHEMA_INVALID']);
  });

  it('a limit that makes no sense is said in the node’s status, and the flow runs on', async () => {
    const [db, validator, ...rest] = flow();
    assert.ok(db && validator);
    const running = await startFlow([db, { ...validator, kwhMax: 'plenty' }, ...rest]);
    running.send('validator', { payload: reading('METER011', Date.now()) });
    running.send('store', {
      payload: [
        {
          delivery: 0,
          part: 0,
          meter_id: 'METER011',
          device_id: null,
          user_id: null,
          energy: 1,
          time: Date.now(),
          source: 'batch',
          received_at: Date.now(),
          topic: '',
          qos: 0,
        },
      ],
    });
    await eventually(() => countOf(running.received('stored')) === 1);
  });
});

function countOf(messages: readonly FlowMessage[]): number {
  return messages.reduce((sum, { payload }) => sum + (payload as unknown[]).length, 0);
}

function codesOf(messages: readonly FlowMessage[]): string[] {
  return messages.flatMap(({ payload }) => (payload as { code: string }[]).map(({ code }) => code)).sort();
}

function reading(meter_id: string, time: number, kwh_amount: unknown = 1.25): object {
  return { meter_id, kwh_amount, reading_timestamp: new Date(time).toISOString() };
}

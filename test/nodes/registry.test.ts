import { strict as assert } from 'node:assert';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

const ownCodes = [
  { code: 'RELAY_JAMMED', status: '422' },
  { code: 'RELAY_BUSY', status: '429' },
  { code: 'RELAY_COOLING', status: '503', retryAfterSeconds: '120' },
];

describe('device-registry, meter-query and api-error', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());
  afterEach(() => stopFlow());

  const flow = (): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    {
      id: 'registry',
      type: 'device-registry',
      database: 'db',
      operation: 'operation',
      operationType: 'msg',
      wires: [['result'], ['refused']],
    },
    {
      id: 'query',
      type: 'meter-query',
      database: 'db',
      operation: 'latest-of',
      operationType: 'operation',
      wires: [['result'], ['refused']],
    },
    { id: 'catch', type: 'catch', scope: null, wires: [['error']] },
    { id: 'error', type: 'api-error', codes: ownCodes, wires: [['answer']] },
    { id: 'result', type: 'helper' },
    { id: 'refused', type: 'helper' },
    { id: 'answer', type: 'helper' },
  ];

  it('creates a device, shows its password once, finds it by meter_id, changes and removes it', async () => {
    const running = await startFlow(flow());
    running.send('registry', {
      operation: 'create',
      payload: { type: 'meter', meter_id: 'METER001' },
      req: {},
    });
    const created = await one(running, 'result');
    assert.equal(created.statusCode, 200);
    const device = created.payload as Record<string, unknown>;
    for (const field of ['id', 'type', 'mqtt_user', 'mqtt_password', 'created_at']) {
      assert.equal(typeof JSON.parse(JSON.stringify(device))[field], 'string', field);
    }
    const steps: [string, object][] = [
      ['get', { params: { id: 'METER001' } }],
      ['update', { params: { id: String(device['id']) } }],
      ['list', { query: { page: '1' } }],
      ['remove', { params: { id: 'METER001' } }],
    ];
    for (const [index, [operation, req]] of steps.entries()) {
      running.send('registry', { operation, req, payload: { name: 'House 7' } });
      await eventually(() => running.received('result').length === index + 2);
    }
    const [, got, updated, listed] = running
      .received('result')
      .map(({ payload }) => payload as Record<string, unknown>);
    assert.equal(got?.['mqtt_password'], undefined);
    assert.equal(updated?.['name'], 'House 7');
    assert.equal(listed?.['total'], 1);
  });

  for (const { title, send, statusCode, code } of [
    {
      title: 'an unknown device',
      send: { operation: 'get', req: { params: { id: 'NOBODY' } } },
      statusCode: 404,
      code: 'DEVICE_UNKNOWN',
    },
    {
      title: 'a device without a type',
      send: { operation: 'create', payload: { meter_id: 'X' } },
      statusCode: 400,
      code: 'SCHEMA_INVALID',
    },
    {
      title: 'a DRN with a wrong check digit',
      send: { operation: 'create', payload: { type: 'meter', drn: '09000030520' } },
      statusCode: 400,
      code: 'DRN_CHECK_DIGIT',
    },
  ]) {
    it(`refuses ${title} with ${statusCode} ${code}, on its output and not as a failure`, async () => {
      const running = await startFlow(flow());
      running.send('registry', { ...send, ticket: 7 });
      const refused = await one(running, 'refused');
      assert.equal(refused.statusCode, statusCode);
      assert.equal((refused.payload as { error: { code: string } }).error.code, code);
      assert.equal(refused['ticket'], 7);
      assert.equal(running.received('answer').length, 0);
    });
  }

  it('answers hours, days, totals and a balance as plain data, and the caller’s own things to the caller alone', async () => {
    await test.database.query({ text: `insert into users (email) values ('ada')` });
    await test.database.query({
      text: `insert into devices (meter_id, type, mqtt_user, password_hash, user_id)
             select 'HERS', 'meter', 'HERS', '', u.id from users u where u.email = 'ada'`,
    });
    await test.database.query({
      text: `select ensure_day_partition('meter_readings', (now() at time zone 'UTC')::date)`,
    });
    await test.database.query({
      text: `insert into meter_readings (meter_id, user_id, kwh_amount, reading_timestamp)
             select d.meter_id, d.user_id, 1.25, now() from devices d where d.meter_id = 'HERS'`,
    });
    const query = { id: 'query', type: 'meter-query', database: 'db', wires: [['result'], ['refused']] };
    const running = await startFlow([
      ...flow().filter(({ id }) => id !== 'query'),
      { ...query, operation: 'ask', operationType: 'msg' },
    ]);
    const answerTo = async (message: object): Promise<FlowMessage> => {
      const before = running.received('result').length;
      running.send('query', message);
      await eventually(() => running.received('result').length > before);
      return running.received('result').at(-1) ?? assert.fail();
    };
    const hours = await answerTo({ ask: 'hourly', payload: { meter_id: 'HERS', limit: 5 } });
    assert.deepEqual(hours['headers'], { 'X-Total-Count': '1' });
    const [hour] = hours.payload as { total_kwh: number; meter_id: string }[];
    assert.deepEqual([hour?.meter_id, hour?.total_kwh], ['HERS', 1.25]);
    const days = await answerTo({ ask: 'daily', payload: 'HERS' });
    assert.equal((days.payload as { reading_count: number }[])[0]?.reading_count, 1);
    assert.deepEqual(JSON.parse(JSON.stringify(days.payload)), days.payload);
    const totals = await answerTo({ ask: 'statistics', caller: { name: 'ada' } });
    assert.equal((totals.payload as { total_kwh: number }).total_kwh, 1.25);
    // A query cannot say who asks.
    const claimed = { user_id: 'ada', name: 'ada', caller: { name: 'ada' } };
    for (const ask of ['statistics', 'own']) {
      const { payload } = await answerTo({ ask, payload: claimed, req: { query: claimed } });
      const { total_readings, total } = payload as { total_readings?: number; total?: number };
      assert.equal(total_readings ?? total, 0, ask);
    }
    assert.equal(
      ((await answerTo({ ask: 'own', caller: { name: 'ada' } })).payload as { total: number }).total,
      1,
    );
    assert.equal(
      ((await answerTo({ ask: 'balance', payload: 'HERS' })).payload as { balance: number }).balance,
      0,
    );
    assert.equal(
      ((await answerTo({ ask: 'statement', payload: 'HERS' })).payload as { total: number }).total,
      0,
    );
    running.send('query', {
      ask: 'daily',
      payload: { meter_id: 'HERS', sort: "total_kwh'; drop table users; --" },
    });
    assert.equal((await one(running, 'refused')).statusCode, 400);
  });

  it('tells an unknown meter from one without a reading', async () => {
    const running = await startFlow(flow());
    running.send('query', { payload: 'METER404' });
    assert.equal((await one(running, 'refused')).statusCode, 404);
    running.send('registry', { operation: 'create', payload: { type: 'meter', meter_id: 'METER002' } });
    await one(running, 'result');
    running.send('query', { payload: { meter_id: 'METER002' } });
    await eventually(() => running.received('refused').length === 2);
    const codes = running
      .received('refused')
      .map(({ payload }) => (payload as { error: { code: string } }).error.code);
    assert.deepEqual(codes, ['METER_UNKNOWN', 'NO_READING']);
  });

  it('a database that is away reaches Catch and becomes 503 with Retry-After', async () => {
    const nowhere = `postgres://nobody@127.0.0.1:${await freePort()}/nothing`;
    const [db, ...rest] = flow();
    const running = await startFlow([{ ...db, url: nowhere } as never, ...rest]);
    running.send('query', { payload: 'METER001' });
    const answer = await one(running, 'answer');
    assert.equal(answer.statusCode, 503);
    assert.equal((answer['headers'] as Record<string, string>)['retry-after'], '5');
    assert.equal((answer.payload as { error: { code: string } }).error.code, 'DATABASE_UNAVAILABLE');
  });

  for (const [what, error, retryAfter] of [
    ['its dialog says', { code: 'RELAY_COOLING' }, '120'],
    ['the error itself says, above all', { code: 'RELAY_COOLING', retryAfterSeconds: 7 }, '7'],
    ['is usual for its status', { code: 'RELAY_BUSY' }, '60'],
    ['nobody says where it would not help', { code: 'RELAY_JAMMED' }, undefined],
  ] as const) {
    it(`a code of the integrator’s own tells when to come back: as ${what}`, async () => {
      const running = await startFlow(flow());
      running.send('error', { error: { message: 'Error: The relay.', ...error } });
      const answer = await one(running, 'answer');
      assert.equal((answer['headers'] as Record<string, string>)['retry-after'], retryAfter);
    });
  }

  for (const { title, error, statusCode, text } of [
    {
      title: 'a failure without a code says nothing about itself',
      error: { message: 'Error: password=hunter2' },
      statusCode: 500,
      text: /^(?!.*hunter2).*$/,
    },
    {
      title: 'a code of the integrator’s own answers with its status',
      error: { code: 'RELAY_JAMMED', message: 'Error: The relay is jammed.' },
      statusCode: 422,
      text: /"The relay is jammed\."/,
    },
  ]) {
    it(title, async () => {
      const running = await startFlow(flow());
      running.send('error', { error });
      const answer = await one(running, 'answer');
      assert.equal(answer.statusCode, statusCode);
      assert.match(JSON.stringify(answer.payload), text);
    });
  }
});

async function one(running: RunningFlow, output: string): Promise<FlowMessage> {
  await eventually(() => running.received(output).length > 0);
  return running.received(output).at(-1) ?? {};
}

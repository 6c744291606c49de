import { strict as assert } from 'node:assert';
import { createAcceptance } from '../../src/payments/acceptance.js';
import { parseC2bNotice } from '../../src/payments/c2b-notice.js';
import { c2bBody, openHouse, receiptOf, type House } from '../payments/callbacks.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type FlowMessage, type RunningFlow } from './flow.js';

describe('meter-ledger', () => {
  let house: House;
  let running: RunningFlow;
  before(async () => {
    house = await openHouse();
    const acceptance = createAcceptance(house.database, { shortCode: null });
    const pay = (number: number, BillRefNumber: string) =>
      acceptance.accept(parseC2bNotice(c2bBody({ TransID: receiptOf(number), BillRefNumber })), {
        signal: new AbortController().signal,
      });
    await pay(1, 'METER001');
    await pay(2, 'nobody');
  });
  beforeEach(async () => {
    running = await startFlow(flow());
  });
  afterEach(() => stopFlow());
  after(() => house.drop());

  const flow = (settings: object = {}): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: house.url, connectionsMax: '4' },
    {
      id: 'ledger',
      type: 'meter-ledger',
      database: 'db',
      operation: 'operation',
      operationType: 'msg',
      lowUnits: '1',
      wires: [['result'], ['refused']],
      ...settings,
    },
    { id: 'result', type: 'helper' },
    { id: 'refused', type: 'helper' },
  ];

  const refused = [
    ['balance', 'NOBODY', 404, 'METER_UNKNOWN'],
    ['statement', { meter_id: 'METER001', kind: 'odd' }, 400, 'SCHEMA_INVALID'],
    ['allocate', { id: 1, meter_number: 'METER001' }, 404, 'PAYMENT_UNKNOWN'],
    ['allocate', { id: 2 }, 400, 'SCHEMA_INVALID'],
    ['credit-disputed', { id: 1, meter_number: 'METER001', reason: 'seen' }, 404, 'PAYMENT_UNKNOWN'],
    ['credit-disputed', { id: 1, meter_number: 'METER001' }, 400, 'SCHEMA_INVALID'],
    ['allocate', { id: 2, meter_number: 'NOBODY' }, 404, 'METER_UNKNOWN'],
    ['reverse', 'RK99999999', 404, 'PAYMENT_UNKNOWN'],
    ['reverse', { receipt: 'x', reason: 'x'.repeat(201) }, 400, 'SCHEMA_INVALID'],
    ['charge', { meter_id: 'METER001', memo: 'x' }, 400, 'SCHEMA_INVALID'],
    ['charge', { meter_id: 'METER001', amount: 0.001, memo: 'x' }, 400, 'SCHEMA_INVALID'],
    ['add-tariff', { plan: 'x' }, 400, 'TARIFF_INVALID'],
    ['tariffs', { plan: ['x'] }, 400, 'SCHEMA_INVALID'],
    ['payments', { status: 'paid' }, 400, 'SCHEMA_INVALID'],
  ] as const;
  it('refuses with the code of what is wrong, and changes nothing', async () => {
    for (const [index, [operation, payload, ...expected]] of refused.entries()) {
      running.send('ledger', { operation, payload });
      await eventually(() => running.received('refused').length === index + 1);
      const { statusCode, payload: answer } = running.received('refused').at(-1) as FlowMessage;
      const { code } = (answer as { error: { code: string } }).error;
      assert.deepEqual([statusCode, code], expected, `${operation} ${JSON.stringify(payload)}`);
    }
    assert.deepEqual(await house.rows('select from audit_log'), []);
  });

  it('calls low what its own setting says', async () => {
    await stopFlow();
    running = await startFlow(flow({ lowUnits: '4.5' }));
    running.send('ledger', { operation: 'meters', payload: { low: 'true' } });
    assert.equal(((await one(running, 'result')).payload as Answer)['total'], 1);
  });
  it('does every operation, by plain messages', async () => {
    const [waiting] = await house.rows<{ id: string }>(`select id from payments where outcome = 'suspense'`);
    const plan = { plan: 'shops', price_per_unit: 30 };
    const steps: [
      operation: string,
      payload: unknown,
      status: number,
      expected: (answer: Answer) => unknown,
    ][] = [
      ['balance', 'METER001', 200, ({ balance }) => balance === 4],
      ['balance', { meter_id: '09000030529' }, 200, ({ meter_id }) => meter_id === 'METER001'],
      ['statement', { meter_id: 'METER001', kind: 'sale' }, 200, ({ total }) => total === 1],
      ['history', { meter_id: 'METER001', hours: 700 }, 200, (points) => Array.isArray(points)],
      ['meter', { meter_id: 'METER001' }, 200, ({ command }) => command === 'waiting'],
      ['meters', { low: true }, 200, ({ total }) => total === 0],
      ['totals', {}, 200, ({ prepaid, suspense }) => prepaid === 1 && (suspense as unknown[]).length === 1],
      ['drifts', {}, 200, ({ total }) => total === 0],
      ['payments', { status: 'accepted' }, 200, ({ total }) => total === 1],
      ['suspense', '', 200, ({ total }) => total === 1],
      ['allocate', { id: waiting?.id, meter_number: 'METER002' }, 200, ({ units }) => units === 4],
      ['reverse', { receipt: receiptOf(2), reason: 'twice' }, 200, ({ balance }) => balance === 0],
      [
        'charge',
        { meter_id: 'METER002', amount: '50', memo: 'new meter' },
        201,
        ({ arrears }) => arrears === 50,
      ],
      ['add-tariff', plan, 201, ({ currency }) => currency === 'KES'],
      ['tariffs', { plan: 'shops' }, 200, ({ total }) => total === 1],
    ];
    for (const [index, [operation, payload, status, isExpected]] of steps.entries()) {
      running.send('ledger', { operation, payload, ticket: index });
      await eventually(() => running.received('result').length === index + 1);
      const answer = running.received('result').at(-1);
      assert.deepEqual([answer?.statusCode, answer?.['ticket']], [status, index], operation);
      assert.ok(isExpected(answer?.payload as Answer), `${operation}: ${JSON.stringify(answer?.payload)}`);
    }
  });

  it('takes meter, id and receipt of a request from its path, and notes who did it', async () => {
    await stopFlow();
    running = await startFlow(flow({ operation: 'reverse', operationType: 'operation' }));
    const req = { params: { receipt: receiptOf(1).toLowerCase() }, query: {}, ip: '10.0.0.7' };
    running.send('ledger', { req, payload: {}, caller: { name: 'olga' } });
    assert.equal((await one(running, 'result')).statusCode, 200);
    const rows = await house.rows(
      `select actor, address, subject from audit_log where action = 'payment.reversed' and subject = $1`,
      receiptOf(1),
    );
    assert.deepEqual(rows, [{ actor: 'olga', address: '10.0.0.7', subject: receiptOf(1) }]);
  });
});

type Answer = Record<string, unknown>;

async function one(running: RunningFlow, id: string): Promise<FlowMessage> {
  await eventually(() => running.received(id).length > 0);
  return running.received(id).at(-1) as FlowMessage;
}

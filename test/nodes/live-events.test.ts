import assert from 'node:assert/strict';
import helper from 'node-red-node-test-helper';
import { closeAllLive } from '../../src/live/runtime.js';
import { listenTo, type Listener } from '../live/listener.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFlow, stopFlow, type RunningFlow } from './flow.js';

const at = '2026-11-20T12:00:00.000Z';
const time = Date.parse(at);
const gateway = {
  id: 'gateway',
  type: 'live-gateway',
  path: '/ws',
  callers: 'callers',
  database: 'db',
  redis: '',
};

const reading = {
  delivery: 0,
  part: 0,
  meter_id: 'METER001',
  device_id: 'd1',
  user_id: null,
  energy: 12_500,
  time,
  source: 'mqtt',
  received_at: time,
  topic: 'meters/METER001/readings',
  qos: 1,
};
const report = { meter_id: 'METER001', units: 48, balance: 124_952, low: false, received_at: time };
const money = {
  outcome: 'accepted',
  id: 1,
  channel: 'c2b',
  receipt: 'RKTQDM7W6S',
  amount: 100,
  currency: 'KES',
  meter_number: 'METER001',
  meter_id: 'METER001',
  phone: '254708374149',
  result_code: null,
  reason: null,
  checkout_request_id: null,
  paid_at: at,
  received_at: at,
  units: 4,
  balance: 16.4952,
};
const status = {
  delivery: 0,
  topic: 'smartmeter/METER001/status',
  pattern: 'smartmeter/+/status',
  qos: 0,
  payload: JSON.stringify({
    meterNo: 'METER001',
    status: 'low_balance',
    message: 'low',
    balance: 0.5,
    wifi_rssi: -60,
  }),
  received_at: time,
  device_id: 'd1',
  meter_id: 'METER001',
  user_id: null,
};
const session = {
  event: 'connected',
  kind: 'device',
  client_id: 'c',
  mqtt_user: 'u',
  address: '10.0.0.9',
  reason: null,
  at: time,
};

/** What comes through a wire, and what listeners hear of it. */
const rows: { readonly topic?: string; readonly payload: unknown; readonly told: readonly object[] }[] = [
  {
    topic: 'stored',
    payload: [reading, { ...reading, meter_id: 'METER002', user_id: 'u2', energy: 3 }],
    told: [
      {
        event: 'MeterReadingSubmitted',
        data: { meter_id: 'METER001', user_id: null, kwh_amount: 1.25, timestamp: at, source: 'mqtt' },
      },
      {
        event: 'MeterReadingSubmitted',
        data: { meter_id: 'METER002', user_id: 'u2', kwh_amount: 0.0003, timestamp: at, source: 'mqtt' },
      },
    ],
  },
  { topic: 'duplicate', payload: [reading], told: [] },
  {
    topic: 'applied',
    payload: [report],
    told: [
      {
        event: 'BalanceChanged',
        data: {
          meter_id: 'METER001',
          balance: 12.4952,
          updated_at: at,
          reason: 'consumption',
          units: -0.0048,
          low: false,
        },
      },
    ],
  },
  {
    topic: 'accepted',
    payload: money,
    told: [
      {
        event: 'PaymentReceived',
        data: {
          receipt: 'RKTQDM7W6S',
          amount: 100,
          currency: 'KES',
          meter_id: 'METER001',
          status: 'accepted',
          channel: 'c2b',
          units: 4,
          paid_at: at,
          received_at: at,
        },
      },
      {
        event: 'BalanceChanged',
        data: { meter_id: 'METER001', balance: 16.4952, updated_at: at, reason: 'payment', units: 4 },
      },
    ],
  },
  {
    topic: 'suspense',
    payload: { ...money, outcome: 'suspense', meter_id: null, units: null, balance: null },
    told: [
      {
        event: 'PaymentReceived',
        data: {
          receipt: 'RKTQDM7W6S',
          amount: 100,
          currency: 'KES',
          meter_id: null,
          status: 'suspense',
          channel: 'c2b',
          units: null,
          paid_at: at,
          received_at: at,
        },
      },
    ],
  },
  {
    topic: 'kept',
    payload: [status, { ...status, pattern: 'devices/+/telemetry' }],
    told: [
      {
        event: 'DeviceStatus',
        data: {
          meter_id: 'METER001',
          status: 'low_balance',
          message: 'low',
          balance: 0.5,
          wifi_rssi: -60,
          timestamp: null,
          at,
        },
      },
    ],
  },
  {
    topic: 'recorded',
    payload: [
      { ...session, meter_id: 'METER001', device_id: 'd1' },
      { ...session, meter_id: 'mock-real-d1', device_id: 'mock-real-d1' },
      { ...session, event: 'refused', kind: 'unknown', meter_id: null, device_id: null },
      { ...session, kind: 'account', meter_id: null, device_id: null },
    ],
    told: [
      {
        event: 'DeviceStatus',
        data: { meter_id: 'METER001', device_id: 'd1', status: 'connected', message: null, at },
      },
    ],
  },
  {
    topic: 'minted',
    payload: { reading_id: 7, tx_signature: 'sig', amount: 1.25, meter_id: 'METER001' },
    told: [
      {
        event: 'MeterReadingMinted',
        data: { reading_id: 7, tx_signature: 'sig', amount: 1.25, meter_id: 'METER001' },
      },
    ],
  },
  {
    payload: { event: 'DeviceStatus', data: { meter_id: 'METER001', status: 'door open' } },
    told: [{ event: 'DeviceStatus', data: { meter_id: 'METER001', status: 'door open' } }],
  },
  { topic: 'stored', payload: 'whatever', told: [] },
  { topic: 'constructor', payload: { a: 1 }, told: [] },
  { payload: [{ meter_id: 'METER001' }], told: [] },
];

describe('live-events', () => {
  let database: TestDatabase;
  let flow: RunningFlow;
  let listener: Listener;

  before(async () => {
    database = await createTestDatabase();
    flow = await startFlow([
      { id: 'db', type: 'meter-database', url: database.url },
      { id: 'callers', type: 'meter-callers', database: 'db', access: 'demo' },
      gateway,
      {
        id: 'live',
        type: 'live-events',
        gateway: 'gateway',
        events: '',
        meters: 'METER001',
        wires: [['passed'], ['heard']],
      },
      {
        id: 'other',
        type: 'live-events',
        gateway: 'gateway',
        events: 'BalanceChanged',
        meters: '',
        wires: [[], ['balances']],
      },
      { id: 'catch', type: 'catch', wires: [['failed']] },
      { id: 'passed', type: 'helper' },
      { id: 'heard', type: 'helper' },
      { id: 'balances', type: 'helper' },
      { id: 'failed', type: 'helper' },
    ]);
    listener = await listenTo(url());
  });
  after(async () => {
    listener.ws.terminate();
    await stopFlow();
    await closeAllLive();
    await database.drop();
  });

  for (const { topic, payload, told } of rows)
    it(`hears of ${topic ?? 'a message without a topic'} ${JSON.stringify(payload).slice(0, 40)}: ${told.length} events`, async () => {
      const before = listener.told.length;
      const passed = flow.received('passed').length;
      const message = { topic, payload };
      flow.send('live', message);
      await eventually(() => flow.received('passed').length === passed + 1);
      assert.equal(flow.received('passed').at(-1)?.payload, payload);
      flow.send('live', { payload: { event: 'DeviceStatus', data: { meter_id: null, status: 'end' } } });
      await listener.hears(before + told.length + 1);
      const heard = listener.told.slice(before, -1).map(({ event, data }) => ({ event, data }));
      assert.deepEqual(heard, told);
    });

  it('gives a flow what its filters let through, a batch as one message', () => {
    const batches = flow.received('heard').map(({ topic, payload }) => ({
      topic,
      events: payload as { data: { meter_id: string }; id: string }[],
    }));
    assert.ok(batches.length > 0);
    for (const { topic, events } of batches) {
      assert.equal(topic, 'heard');
      for (const { data, id } of events) {
        assert.equal(data.meter_id, 'METER001');
        assert.match(id, /^[eu]\d+-\w+@\d+-\w+$/);
      }
    }
    const balances = flow.received('balances').flatMap(({ payload }) => payload as { event: string }[]);
    assert.deepEqual(
      balances.map(({ event }) => event),
      ['BalanceChanged', 'BalanceChanged'],
    );
  });

  it('refuses what would be an event and is none, through Catch', async () => {
    flow.send('live', { payload: { event: 'Surprise', data: { meter_id: 'METER001' } } });
    await eventually(() => flow.received('failed').length === 1);
    const { error } = flow.received('failed')[0] as unknown as { error: { message: string } };
    assert.match(error.message, /one of the known names/);
  });

  it('tells of a token what the database knows, once for all who ask', async () => {
    const id = '7f6b4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11';
    await database.database.query({
      text: `insert into token_injections (id, meter_number, meter_id, token_hash, token_last4, status, injected_units, finished_at, answered_at, instance, caller, run, deadline_at, requested_at)
             values ($1::uuid, 'METER001', 'METER001', '\\x01', '9281', 'success', 2.5, $2::timestamptz, $2::timestamptz, 'test', 'test', $1::uuid, $2::timestamptz, $2::timestamptz)`,
      values: [id, at],
    });
    const before = listener.told.length;
    const answer = {
      topic: 'applied',
      payload: { status: 'success', injection_id: id, injected_units: 2.5 },
    };
    flow.send('live', answer);
    flow.send('live', answer);
    flow.send('live', { topic: 'late', payload: { id, status: 'success' } });
    await listener.hears(before + 1);
    const [told] = listener.told.slice(before);
    assert.deepEqual(
      { event: told?.event, data: told?.data },
      {
        event: 'TokenInjected',
        data: { injection_id: id, meter_id: 'METER001', injected_units: 2.5, late: false, finished_at: at },
      },
    );
    flow.send('live', { payload: { event: 'DeviceStatus', data: { meter_id: null, status: 'end' } } });
    await listener.hears(before + 2);
    assert.equal(listener.told.length, before + 2);
  });

  it('keeps its listeners over a Deploy, also of all nodes, and they miss nothing', async () => {
    const before = listener.told.length;
    await flow.redeploy();
    flow.send('live', {
      payload: { event: 'DeviceStatus', data: { meter_id: 'METER001', status: 'after' } },
    });
    await listener.hears(before + 1);
    assert.equal(listener.told.at(-1)?.data['status'], 'after');
  });

  it('sends them away with 1012 when the gateway has other settings', async () => {
    await flow.deploy('full', { gateway: { clientsMax: '7' } });
    assert.equal((await listener.farewell).code, 1012);
    listener = await listenTo(url());
  });
});

function url(): string {
  return `${helper.url().replace('http:', 'ws:')}/ws`;
}

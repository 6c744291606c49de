import { strict as assert } from 'node:assert';
import { backendAccount, ensureAccount } from '../../src/devices/accounts.js';
import type { Handover } from '../../src/mocks/token-vendor/vendor.js';
import type { VirtualMeterState } from '../../src/mocks/virtual-meter-state.js';
import type { TypedInjection } from '../../src/tokens/typed.js';
import { credit } from '../balances/meters.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow, type RunningFlow } from './flow.js';

const token = '54158492421732529281';
const drn = '09000030529';

describe('token-vendor-simulator and virtual-meter', () => {
  let test: TestDatabase;
  beforeEach(async () => {
    test = await createTestDatabase();
    await ensureAccount(test.database, backendAccount, 'secret', { name: 'test', address: null });
  });
  afterEach(async () => {
    await stopFlow();
    await test.drop();
  });

  const flow = (port: number, vendor: object, meters: object): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '6' },
    { id: 'mqtt', type: 'meter-mqtt', embeddedHost: '127.0.0.1', port: String(port), clientId: 'backend' },
    {
      id: 'meters',
      type: 'virtual-meter',
      database: 'db',
      mqtt: 'mqtt',
      count: '2',
      prefix: 'DEMO',
      seed: '1',
      backfillHours: '0',
      telemetrySeconds: '1',
      prepaid: true,
      reportSeconds: '1',
      ...meters,
      wires: [['states']],
    },
    {
      id: 'vendor',
      type: 'token-vendor-simulator',
      mqtt: 'mqtt',
      enabled: 'true',
      delayMinMs: '0',
      delayMaxMs: '10',
      holdMs: '50',
      lateSeconds: '0.1',
      ...vendor,
      wires: [['accepted'], ['refused'], ['handed']],
    },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      wires: [['readings'], ['sync'], ['sync']],
    },
    {
      id: 'sync',
      type: 'balance-sync',
      database: 'db',
      mqtt: 'mqtt',
      wires: [[], [], ['quarantine'], ['messages'], [], [], []],
    },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [[]] },
    { id: 'messages', type: 'message-store', database: 'db', wires: [[]] },
    ...['states', 'accepted', 'refused', 'handed', 'readings'].map((id) => ({ id, type: 'helper' })),
  ];

  async function start(vendor: object = {}, meters: object = {}): Promise<RunningFlow> {
    const running = await startFlow(flow(await freePort(), vendor, meters), {
      mqtt: { user: 'backend', password: 'secret' },
    });
    await eventually(() => assert.equal(stateOf(running, 'DEMO-01')?.connection, 'online'));
    await eventually(() => assert.equal(stateOf(running, 'DEMO-02')?.connection, 'online'));
    return running;
  }

  function stateOf(running: RunningFlow, meter: string): VirtualMeterState | undefined {
    return running
      .received('states')
      .map(({ payload }) => payload as VirtualMeterState)
      .findLast(({ meter_id }) => meter_id === meter);
  }

  /** What meters answered, as kept by the message store. */
  async function answers(): Promise<{ topic: string; payload: string }[]> {
    const text = `select topic, convert_from(payload, 'UTF8') as payload from device_messages
                   where topic like '%/token/response' order by received_at, id`;
    return (await test.database.query<{ topic: string; payload: string }>({ text })).rows;
  }

  it('hand a token to the meter, which answers and credits its balance', async () => {
    const running = await start();
    await credit(test.database, 'DEMO-01', 1);
    await eventually(() => assert.equal(stateOf(running, 'DEMO-01')?.relay, 'on'));
    running.send('meters', { topic: 'pause', payload: 'DEMO-01' });
    running.send('vendor', { payload: { meter_number: drn, credit_token: token }, ticket: 7 });
    await eventually(() => assert.equal(running.received('accepted').length, 1));
    const [{ statusCode, ticket } = {}] = running.received('accepted');
    assert.deepEqual([statusCode, ticket], [202, 7]);
    const balances = () =>
      running.received('states').map(({ payload }) => (payload as VirtualMeterState).balance ?? 0);
    // Until the ledger, where nobody books it here, has the last word.
    await eventually(() => assert.ok(Math.max(...balances()) > 2.9));
    const handed = running.received('handed')[0]?.payload as Handover;
    assert.deepEqual([handed.meter_number, handed.token_last4, handed.problem], [drn, '9281', null]);
    await eventually(async () => assert.equal((await answers()).length, 1));
    const [answer] = await answers();
    assert.equal(answer?.topic, `meters/${drn}/token/response`);
    assert.deepEqual(JSON.parse(answer?.payload ?? '')[1], { n: 'injected-units', v: 2, t: 0 });
    assert.deepEqual(running.status('vendor').text, '1 accepted');
  });

  it('play what X-Simulate says, here as the topic: refused, late, twice, and a token that a meter has used', async () => {
    const running = await start();
    const order = (credit_token: string, topic: string): void =>
      running.send('vendor', { topic, payload: { meter_number: 'DEMO-02', credit_token } });
    order(token, 'refuse 503');
    await eventually(() => assert.equal(running.received('refused')[0]?.statusCode, 503));
    order(token, 'twice');
    await eventually(async () => assert.equal((await answers()).length, 2));
    order('23716100501183194197', 'late');
    await eventually(async () => assert.equal((await answers()).length, 3));
    assert.deepEqual(
      (await answers()).map(({ payload }) => (JSON.parse(payload) as { status: string }).status),
      ['success', 'used', 'success'],
    );
    assert.equal(running.status('vendor').text, '2 accepted · 1 refused');
  });

  it('refuse tokens at the rate of the virtual meter’s dialog', async () => {
    const running = await start({}, { tokenRefusedPercent: '100' });
    running.send('vendor', { payload: { meter_number: 'DEMO-02', credit_token: token } });
    await eventually(async () => assert.equal((await answers()).length, 1));
    assert.notEqual(
      (JSON.parse((await answers())[0]?.payload ?? '') as { status: string }).status,
      'success',
    );
  });

  it('is silent when it is off', async () => {
    const running = await start({ enabled: 'false' });
    running.send('vendor', { payload: { meter_number: 'DEMO-02', credit_token: token } });
    running.send('meters', { topic: 'pause', payload: 'DEMO-02' });
    await eventually(() => assert.equal(stateOf(running, 'DEMO-02')?.paused, true));
    assert.deepEqual([running.received('accepted').length, running.received('handed').length], [0, 0]);
  });
});

describe('token-check', () => {
  afterEach(() => stopFlow());

  it('says what is wrong, and keeps the rest of the message', async () => {
    const running = await startFlow([
      { id: 'check', type: 'token-check', wires: [['valid'], ['flawed']] },
      { id: 'valid', type: 'helper' },
      { id: 'flawed', type: 'helper' },
    ]);
    running.send('check', {
      payload: { meter_number: drn, credit_token: '5415 8492 4217 3252 928' },
      ticket: 3,
    });
    running.send('check', { payload: { meter_number: drn, credit_token: '5415 8492 4217 3252 9281' } });
    await eventually(() => assert.equal(running.received('valid').length, 1));
    const [flawed] = running.received('flawed');
    assert.deepEqual([flawed?.topic, flawed?.['ticket']], ['flawed', 3]);
    const judged = [flawed, ...running.received('valid')].map((one) => one?.payload as TypedInjection);
    assert.deepEqual(
      judged.map(({ credit_token }) => [credit_token?.message, credit_token?.value]),
      [
        ['the 20th digit is missing', token.slice(0, 19)],
        [null, token],
      ],
    );
  });
});

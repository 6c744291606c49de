import { strict as assert } from 'node:assert';
import { backendAccount, ensureAccount } from '../../src/devices/accounts.js';
import { masterKey } from '../../src/devices/keys/master-key.js';
import { loadOf } from '../../src/mocks/load-profile.js';
import { drawn } from '../../src/mocks/seeded.js';
import { serveTokenVendor } from '../../src/mocks/token-vendor/server.js';
import { createTokenVendor } from '../../src/mocks/token-vendor/vendor.js';
import type { VirtualMeterState } from '../../src/mocks/virtual-meter-state.js';
import { openMqttLink } from '../../src/mqtt/link.js';
import { createInjections } from '../../src/tokens/injections.js';
import { createTokenHash } from '../../src/tokens/token-hash.js';
import { createVendor } from '../../src/tokens/vendor.js';
import { balanceOf, credit, discrepancies } from '../balances/meters.js';
import { listen } from '../payments/provider-house.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { tokenOf } from '../tokens/injection-house.js';
import { startFlow, stopFlow } from './flow.js';

const meters = ['DEMO-01', 'DEMO-02', 'DEMO-03'];
/** The first with shops and mills only: a household at night takes seconds for 0.0001 kWh. */
const seed = Array.from({ length: 100 }, (_, i) => i).find((candidate) =>
  meters.every((meter) => loadOf(candidate, meter).kind !== 'household'),
);
const patience = { timeoutMs: 30_000, intervalMs: 100 };

describe('virtual meters, injections and the ledger', () => {
  let test: TestDatabase;
  const opened: { close(): unknown }[] = [];
  before(async () => {
    test = await createTestDatabase();
    await ensureAccount(test.database, backendAccount, 'secret', { name: 'test', address: null });
  });
  afterEach(async () => {
    for (const one of opened.splice(0).toReversed()) await one.close();
    await stopFlow();
  });
  after(() => test.drop());

  const flow = (port: number): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '6' },
    { id: 'mqtt', type: 'meter-mqtt', embeddedHost: '127.0.0.1', port: String(port), clientId: 'backend' },
    {
      id: 'meters',
      type: 'virtual-meter',
      database: 'db',
      mqtt: 'mqtt',
      count: String(meters.length),
      prefix: 'DEMO',
      seed: String(seed),
      backfillHours: '0',
      telemetrySeconds: '1',
      prepaid: true,
      reportSeconds: '1',
      tokenRefusedPercent: '15',
      tokenTwicePercent: '20',
      wires: [['states']],
    },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      wires: [['rest'], ['sync'], ['sync']],
    },
    {
      id: 'sync',
      type: 'balance-sync',
      database: 'db',
      mqtt: 'mqtt',
      wires: [[], [], ['quarantine'], ['messages'], [], [], ['drifts']],
    },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [[]] },
    { id: 'messages', type: 'message-store', database: 'db', wires: [[]] },
    ...['states', 'rest', 'drifts'].map((id) => ({ id, type: 'helper' })),
  ];

  /** The played system over HTTP, and what injects through it. */
  async function injecting(port: number) {
    const link = openMqttLink({
      host: '127.0.0.1',
      port,
      tls: false,
      clientId: 'backend-of-the-test',
      username: 'backend',
      password: 'secret',
    });
    const system = createTokenVendor(
      {
        seed: 1,
        rates: { refuse: 0.1, before: 0.2, late: 0, never: 0, twice: 0.2 },
        delay: { minMs: 0, maxMs: 300 },
        lateMs: 0,
        holdMs: 200,
      },
      (publication) => link.publish(publication),
    );
    const serve = serveTokenVendor(system, () => undefined);
    const http = await listen((request, response) => void serve(request, response, request.url ?? '/'));
    const vendor = createVendor({
      url: http.url,
      method: 'POST',
      headers: {},
      body: ({ meter_number, credit_token }) => ({ meter_number, credit_token }),
      timeoutMs: 5_000,
      attemptsMax: 1,
      backoffMs: 10,
      breaker: { failuresMax: 1_000, openMs: 1_000 },
    });
    const injections = createInjections({
      database: test.database,
      link,
      vendor,
      hash: createTokenHash(masterKey('7'.repeat(64))),
      topic: 'meters/{meter_number}/token/response',
      responseTimeoutMs: 10_000,
      waitingMax: 1_000,
      queueTimeoutMs: 60_000,
      instance: 'test',
    });
    opened.push(link, http, system, vendor, injections);
    return injections;
  }

  it('tokens, payments and consumption cross; both sides end equal, without a drift on the way', async function () {
    this.timeout(90_000);
    const port = await freePort();
    const running = await startFlow(flow(port), { mqtt: { user: 'backend', password: 'secret' } });
    const state = (meter: string): VirtualMeterState | undefined =>
      running
        .received('states')
        .map(({ payload }) => payload as VirtualMeterState)
        .findLast(({ meter_id }) => meter_id === meter);
    await eventually(() => assert.ok(meters.every((meter) => state(meter)?.connection === 'online')));
    const injections = await injecting(port);
    for (const meter of meters) await credit(test.database, meter, 5);
    await eventually(() => assert.ok(meters.every((meter) => state(meter)?.relay === 'on')), patience);

    const outcomes = new Map<string, number>();
    const injected = meters.map(async (meter, at) => {
      for (let turn = 0; turn < 12; turn += 1) {
        // The seed decides what happens in between.
        if (drawn(turn, meter, 'payment') < 0.3) await credit(test.database, meter, 1);
        const number = meter === 'DEMO-01' ? '09000030529' : meter;
        const request = { meter_number: number, credit_token: tokenOf(at * 100 + turn) };
        const { outcome } = await injections.inject(request, 'test');
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    });
    await Promise.all(injected);
    assert.ok((outcomes.get('applied') ?? 0) > 15, JSON.stringify([...outcomes]));
    assert.ok((outcomes.get('refused') ?? 0) > 0, JSON.stringify([...outcomes]));
    assert.equal(outcomes.get('unanswered'), undefined);

    for (const meter_id of meters) running.send('meters', { topic: 'pause', payload: { meter_id } });
    await eventually(async () => {
      for (const meter of meters) {
        const { balance, buffered } = state(meter) ?? {};
        assert.deepEqual([balance?.toFixed(4), buffered], [await balanceOf(test.database, meter), 0], meter);
      }
    }, patience);
    const { rows } = await test.database.query<Record<string, unknown>>({
      text: `select (select count(*)::int from balance_drifts) as drifts,
                    (select count(*)::int from token_injections where status = 'success') as booked,
                    (select count(*)::int from ledger_transactions t where t.kind = 'token' and t.memo like 'token injection%') as entered`,
    });
    const applied = outcomes.get('applied');
    assert.deepEqual(rows[0], { drifts: 0, booked: applied, entered: applied });
    assert.equal(await discrepancies(test.database), 0);
    for (const meter of meters) assert.ok(Number(state(meter)?.session_total) > 0, `${meter} consumed`);
  });
});

import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { backendAccount, ensureAccount } from '../../src/devices/accounts.js';
import { loadOf } from '../../src/mocks/load-profile.js';
import { drawn } from '../../src/mocks/seeded.js';
import type { VirtualMeterState } from '../../src/mocks/virtual-meter-state.js';
import { balanceOf, credit, discrepancies } from '../balances/meters.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow } from './flow.js';

const meters = ['DEMO-01', 'DEMO-02', 'DEMO-03'];
/** The first with shops and mills only: a household at night takes seconds for 0.0001 kWh. */
const seed = Array.from({ length: 100 }, (_, i) => i).find((candidate) =>
  meters.every((meter) => loadOf(candidate, meter).kind !== 'household'),
);

describe('virtual meters, balance-sync and the ledger', () => {
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
    await ensureAccount(test.database, backendAccount, 'secret', { name: 'test', address: null });
  });
  after(() => test.drop());
  afterEach(() => stopFlow());

  const flow = (port: number, more: object): Parameters<typeof startFlow>[0] => [
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
      ...more,
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
      wires: [[], [], ['quarantine'], ['messages'], [], ['confirmed'], []],
    },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [['quarantined']] },
    { id: 'messages', type: 'message-store', database: 'db', wires: [[]] },
    ...['states', 'rest', 'quarantined', 'confirmed'].map((id) => ({ id, type: 'helper' })),
  ];
  const start = async (more: object = {}) => {
    const running = await startFlow(flow(await freePort(), more), {
      mqtt: { user: 'backend', password: 'secret' },
    });
    const state = (meter: string): VirtualMeterState | undefined =>
      running
        .received('states')
        .map(({ payload }) => payload as VirtualMeterState)
        .findLast(({ meter_id }) => meter_id === meter);
    const all = (topic: string): void =>
      meters.forEach((meter_id) => running.send('meters', { topic, payload: { meter_id } }));
    /** Once nothing is drawn, what the meter shows is what the ledger says. */
    const agreed = () =>
      eventually(
        async () => {
          for (const meter of meters) {
            const { balance, buffered } = state(meter) ?? {};
            assert.deepEqual(
              [balance?.toFixed(4), buffered],
              [await balanceOf(test.database, meter), 0],
              meter,
            );
          }
        },
        { timeoutMs: 20_000, intervalMs: 100 },
      );
    return { ...running, state, all, agreed };
  };

  it('a payment switches the relay on, the load eats the balance, the relay goes off at zero', async () => {
    const running = await start();
    const { state } = running;
    await eventually(() => assert.ok(meters.every((meter) => state(meter)?.connection === 'online')));
    assert.ok(meters.every((meter) => state(meter)?.relay === 'off'));
    await credit(test.database, 'DEMO-01', 0.0003);
    await eventually(() => assert.equal(state('DEMO-01')?.relay, 'on'));
    await eventually(() => assert.equal(running.received('confirmed').length, 1));
    await eventually(() => assert.equal(state('DEMO-01')?.relay, 'off'), { timeoutMs: 20_000 });
    await eventually(async () => assert.equal(await balanceOf(test.database, 'DEMO-01'), '0.0000'));
    assert.equal(state('DEMO-02')?.relay, 'off');
  });

  it('payments, cuts, reboots, lost and doubled messages and a Deploy cross; both sides end equal', async function () {
    this.timeout(60_000);
    const running = await start({
      lostPercent: '3',
      doubledPercent: '10',
    });
    const { state, all, agreed } = running;
    await eventually(() => assert.ok(meters.every((meter) => state(meter)?.connection === 'online')));
    const random = (name: string, step: number): number => drawn(7, name, step);
    for (let step = 0; step < 60; step += 1) {
      const meter = meters[step % meters.length] ?? '';
      if (random('pay', step) < 0.3) await credit(test.database, meter, 1);
      const what = random('what', step);
      const topic = what < 0.1 ? 'reboot' : what < 0.2 ? 'cut' : what < 0.5 ? 'restore' : '';
      if (topic !== '') running.send('meters', { topic, payload: meter });
      if (step === 30) await running.redeploy();
      await delay(100);
    }
    await eventually(() => assert.ok(meters.every((meter) => state(meter)?.connection !== 'stopped')));
    all('restore');
    all('pause');
    await agreed();
    const { rows } = await test.database.query<{ used: string }>({
      text: `select sum(units)::text as used from consumption_reports`,
    });
    assert.ok(Number(rows[0]?.used) > 0.001, `${rows[0]?.used} kWh were consumed`);
    assert.equal(await discrepancies(test.database), 0);
    assert.equal(running.received('quarantined').length, 0);
  });
});

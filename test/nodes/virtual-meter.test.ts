import { strict as assert } from 'node:assert';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow } from './flow.js';

describe('virtual-meter and activity-window', () => {
  let test: TestDatabase;
  let ann: string;
  before(async () => {
    test = await createTestDatabase();
    const made = await test.database.query<{ id: string }>({
      text: `insert into users (email, role) values ('ann@example.org', 'prosumer') returning id`,
    });
    ann = made.rows[0]?.id ?? assert.fail('an account');
  });
  after(() => test.drop());

  async function owners(): Promise<unknown[]> {
    const { rows } = await test.database.query<{ user_id: string | null }>({
      text: 'select user_id from devices order by meter_id',
    });
    return rows.map(({ user_id }) => user_id);
  }
  afterEach(() => stopFlow());

  const flow = (port: number, count: string): Parameters<typeof startFlow>[0] => [
    { id: 'db', type: 'meter-database', url: test.url, connectionsMax: '4' },
    {
      id: 'mqtt',
      type: 'meter-mqtt',
      host: '',
      embeddedHost: '0.0.0.0',
      port: String(port),
      tls: '',
      clientId: '',
    },
    {
      id: 'meters',
      type: 'virtual-meter',
      database: 'db',
      mqtt: 'mqtt',
      count,
      prefix: 'DEMO',
      owner: 'ann@example.org',
      seed: '1',
      backfillHours: '2',
      telemetrySeconds: '1',
      prepaid: true,
      reportSeconds: '30',
      lowUnits: '${LOW_BALANCE_UNITS_OF_NOBODY}',
      lostPercent: '0',
      doubledPercent: '',
      wires: [['states']],
    },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      wires: [['validator'], ['messages'], []],
    },
    { id: 'validator', type: 'reading-validator', wires: [['store'], []] },
    { id: 'store', type: 'reading-store', database: 'db', wires: [['activity'], ['activity'], []] },
    { id: 'messages', type: 'message-store', database: 'db', wires: [['activity']] },
    {
      id: 'activity',
      type: 'activity-window',
      windowSeconds: '60',
      keep: '3',
      everySeconds: '1',
      wires: [['seen']],
    },
    { id: 'states', type: 'helper' },
    { id: 'seen', type: 'helper' },
  ];

  it('meters register, connect, fill two hours and send telemetry; a second start yields duplicates only', async () => {
    const port = await freePort();
    const running = await startFlow(flow(port, '2'));
    interface Snapshot {
      readonly totals: { stored: number; duplicate: number; message: number };
      readonly latest: unknown[];
    }
    const last = (): Snapshot | undefined => running.received('seen').at(-1)?.payload as Snapshot | undefined;
    await eventually(() => {
      assert.equal(last()?.totals.stored, 16);
      assert.ok((last()?.totals.message ?? 0) > 0);
      assert.equal(last()?.latest.length, 3);
    });
    await eventually(() => {
      assert.equal(running.status('meters').fill, 'green');
      // Nobody has told them their balance.
      assert.equal(running.status('meters').text, '2 meters · 0.0 kW · 2 without supply');
    });
    assert.ok(running.received('states').length > 0);
    await stopFlow();

    assert.deepEqual(await owners(), [ann, ann]);

    const again = await startFlow(flow(await freePort(), '2'));
    await eventually(() => {
      const snapshot = again.received('seen').at(-1)?.payload as Snapshot | undefined;
      assert.ok((snapshot?.totals.duplicate ?? 0) >= 15);
      assert.ok((snapshot?.totals.stored ?? 0) <= 2);
    });
  });

  it('a meter is cut off, restored and rebooted by message; a wrong message is an error of that message', async () => {
    const caught = { id: 'catch', type: 'catch', scope: null, wires: [['errors']] };
    const errors = { id: 'errors', type: 'helper' };
    const running = await startFlow([...flow(await freePort(), '2'), caught, errors]);
    const state = (meterId: string): Record<string, unknown> | undefined =>
      running
        .received('states')
        .map(({ payload }) => payload as Record<string, unknown>)
        .findLast(({ meter_id }) => meter_id === meterId);
    const online = (meterId: string) =>
      eventually(() => assert.equal(state(meterId)?.['connection'], 'online'));
    await online('DEMO-01');
    await online('DEMO-02');
    running.send('meters', { topic: 'cut', payload: { meter_id: 'DEMO-02' } });
    await eventually(() => {
      assert.equal(state('DEMO-02')?.['reason'], 'network cut');
      assert.match(running.status('meters').text ?? '', /^1 of 2 meters online: network cut/);
    });
    assert.deepEqual([state('DEMO-01')?.['connection'], state('DEMO-01')?.['cut']], ['online', false]);
    running.send('meters', { topic: 'restore', payload: 'DEMO-02' });
    await online('DEMO-02');
    running.send('meters', { topic: 'reboot', payload: 'DEMO-01' });
    await eventually(() =>
      assert.ok(
        running
          .received('states')
          .some(({ payload }) => (payload as { reason: string }).reason === 'rebooting'),
      ),
    );
    await online('DEMO-01');

    running.send('meters', { topic: 'explode', payload: 'DEMO-01' });
    running.send('meters', { topic: 'cut', payload: {} });
    running.send('meters', { topic: 'cut', payload: 'DEMO-99' });
    await eventually(() => assert.equal(running.received('errors').length, 3));
    const codes = running
      .received('errors')
      .map((message) => (message['error'] as { message: string }).message);
    assert.match(codes.join('\n'), /must be one of pause[\s\S]*meter_id[\s\S]*DEMO-99/);
  });

  it('none are wanted: no device is registered', async () => {
    const running = await startFlow(flow(await freePort(), '0'));
    await eventually(() => running.status('broker').fill === 'green');
    assert.equal(running.received('states').length, 0);
  });

  it('a topic that is no outcome is an error of that message', async () => {
    const caught = { id: 'catch', type: 'catch', scope: null, wires: [['states']] };
    const running = await startFlow([...flow(await freePort(), '0'), caught]);
    running.send('activity', { topic: 'nonsense', payload: [] });
    await eventually(() => running.received('states').length === 1);
  });
});

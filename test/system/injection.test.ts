import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { MqttClient } from 'mqtt';
import { startAppliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { startHouse, type Device, type House } from '../flows/house.js';

const run = promisify(execFile);
const drn = '09000030529';

/** The same end of a token, another token. */
const tokenEnding = (end: string, n = 3): string => `${String(n).repeat(16)}${end}`;

describe('Token injection on a fresh start', function () {
  this.timeout(180_000);

  it('answers the line of the first document with what the virtual meter has booked', async () => {
    const compat = await freePort();
    const house = await startHouse({ VIRTUAL_METERS: '1', HTTP_COMPAT_PORTS: String(compat) });
    try {
      await eventually(
        async () =>
          assert.equal(await house.value('select connected_instance is not null from devices limit 1'), true),
        { timeoutMs: 30_000 },
      );
      const before = Number(await balance(house));
      // Word for word, but for the port, which is 8082 there.
      const line = [
        `curl -X POST http://localhost:${compat}/api/inject_token -H 'Content-Type: application/json' \\`,
        `  --data '{"meter_number":"09000030529","credit_token":"54158492421732529281"}'`,
      ].join('\n');
      const { stdout } = await run('sh', ['-c', line], { timeout: 60_000 });
      const answer = JSON.parse(stdout) as Record<string, unknown>;
      assert.equal(answer['status'], 'success', stdout);
      const units = answer['injected_units'] as number;
      assert.ok(units > 0);
      assert.equal(answer['message'], `Token injected successfully. Injected units: ${units.toFixed(2)}`);
      const data = answer['data'] as { n: string; v: unknown }[];
      assert.deepEqual(
        data.map(({ n }) => n),
        ['1P-Energy-Meter', 'injected-units', 'credit-token-ack', 'message-id'],
      );
      assert.deepEqual(
        data.slice(0, 3).map(({ v }) => v),
        [drn, units, 1],
      );
      const booked = await house.rows(
        `select sum(e.amount)::float8 as units from ledger_entries e
           join ledger_transactions t on t.id = e.transaction_id and t.kind = 'token'
           join accounts a on a.id = e.account_id and a.kind = 'units'`,
      );
      assert.deepEqual(booked, [{ units }]);
      assert.ok(Number(await balance(house)) > before);
      const again = await run('sh', ['-c', line], { timeout: 60_000 });
      assert.equal((JSON.parse(again.stdout) as { error: { code: string } }).error.code, 'TOKEN_USED');
      const { body } = await house.request('GET', `/api/injections/${String(answer['injection_id'])}`);
      assert.deepEqual([body['status'], body['phase'], body['vendor_status']], ['success', 'answered', 202]);
    } finally {
      await house.close();
    }
  });
});

function balance(house: House): Promise<unknown> {
  return house.value(`select coalesce(sum(balance), 0) from accounts where kind = 'units'`);
}

describe('A token injection in mid-wait', function () {
  this.timeout(180_000);
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.drop());

  const rows = async (text: string): Promise<Record<string, unknown>[]> =>
    (await database.database.query<Record<string, unknown>>({ text })).rows;
  const sent = () =>
    eventually(async () =>
      assert.equal((await rows(`select 1 from token_injections where phase = 'acknowledged'`)).length, 1),
    );

  it('of a process that is killed leaves a record that says so, and a late answer completes it', async () => {
    const env = {
      DATABASE_URL: database.url,
      VIRTUAL_METERS: '0',
      INSTANCE_ID: 'the-one',
      TOKEN_RESPONSE_TIMEOUT_MS: '60000',
    };
    const first = await startAppliance({ env });
    const meter = await register(first.url);
    const call = inject(first.url, tokenEnding('0012')).catch((error: unknown) => error);
    await sent();
    first.kill('SIGKILL');
    assert.ok((await call) instanceof Error, 'nobody answers any more');
    await first.waitForExit();
    assert.deepEqual(await rows('select status, phase from token_injections'), [
      { status: 'waiting', phase: 'acknowledged' },
    ]);

    const second = await startAppliance({
      env: { ...env, PORT: String(first.port), MQTT_BROKER_PORT: String(first.mqttPort) },
    });
    try {
      await eventually(async () => {
        const [row] = await rows('select status, code, reason, late from token_injections');
        assert.deepEqual(
          [row?.['status'], row?.['code'], row?.['late']],
          ['unanswered', 'TOKEN_UNANSWERED', false],
        );
        assert.match(String(row?.['reason']), /stopped while it waited/);
      });
      const client = await connect(second.mqttPort, meter);
      await client.publishAsync(
        `meters/METER001/token/response`,
        JSON.stringify({ status: 'success', injected_units: 2 }),
        { qos: 1 },
      );
      await eventually(async () =>
        assert.deepEqual(await rows('select status, late from token_injections'), [
          { status: 'success', late: true },
        ]),
      );
      const [account] = await rows(`select balance::float8 as balance from accounts where kind = 'units'`);
      assert.equal(account?.['balance'], 2);
      await client.endAsync(true);
    } finally {
      await second.stop();
      await first.stop();
    }
  });

  it('of a process that stops is answered, and its record is true', async () => {
    const house = await startAppliance({ env: { DATABASE_URL: database.url, VIRTUAL_METERS: '0' } });
    await register(house.url);
    const call = inject(house.url, tokenEnding('0012')).then(
      ({ status }) => status,
      () => 'broken off',
    );
    await sent();
    await house.stop();
    assert.ok([504, 'broken off'].includes(await call));
    const [row] = await rows('select status, reason from token_injections');
    assert.equal(row?.['status'], 'unanswered');
    assert.match(String(row?.['reason']), /stopped/);
  });
});

async function register(url: string): Promise<Device> {
  const answer = await fetch(`${url}/devices`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'meter', meter_id: 'METER001', drn }),
  });
  const { id, meter_id, mqtt_user, mqtt_password } = (await answer.json()) as Record<string, string>;
  return { id: id ?? '', meter_id: meter_id ?? '', user: mqtt_user ?? '', password: mqtt_password ?? '' };
}

function inject(url: string, credit_token: string): Promise<Response> {
  return fetch(`${url}/api/inject_token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ meter_number: drn, credit_token }),
  });
}

async function connect(port: number, { user, password }: Device): Promise<MqttClient> {
  const { connectAsync } = await import('mqtt');
  return connectAsync(`mqtt://127.0.0.1:${port}`, {
    username: user,
    password,
    clientId: user,
    reconnectPeriod: 0,
  });
}

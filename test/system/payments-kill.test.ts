import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openDatabase, type Database } from '../../src/database/database.js';
import { startEmbeddedServer, type EmbeddedServer } from '../../src/database/embedded-server.js';
import { createVirtualMeter, type VirtualMeter } from '../../src/mocks/virtual-meter.js';
import { c2bBody, phone, receiptOf, stkBody } from '../payments/callbacks.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { databaseProcesses } from '../support/database-processes.js';
import { eventually } from '../support/eventually.js';
import { registerMeters, type MeterAccess } from '../support/meters.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';

const receipts = 300;
const callbacks = 1_000;
const atOnce = 10;
const meters = 12;
const secret = 'the-path-secret-of-this-test-0123456789';
const shortCode = '600638';
/** By no more than this a meter may stay off until its next command: so small a difference is no reason to talk. */
const toleratedUnits = 0.0010001;

interface Sent {
  readonly path: string;
  readonly body: object;
}

/** [P-1], [P-2], [P-6]: two instances on one database behind an external broker, and real signals in between. */
describe('payments while something is killed', function () {
  this.timeout(240_000);
  let folder: string;
  let server: EmbeddedServer;
  let database: Database;
  let mosquitto: Mosquitto;
  let instances: Appliance[] = [];
  let access: MeterAccess[];
  let fleet: VirtualMeter[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meterflow-payments-'));
    server = await startEmbeddedServer({ dataDir: folder, log: () => undefined });
    database = openDatabase({ url: server.url });
    mosquitto = await startMosquitto({ logins: [{ user: 'gateway', password: 'secret of gateway' }] });
    instances = await Promise.all([startInstance('one'), startInstance('two')]);
    access = await registerMeters(instances[0]?.port ?? 0, 'PAID', meters);
    await mosquitto.admit(access);
    fleet = access.map((one) => meterOf(one, mosquitto.port));
    for (const meter of fleet) meter.start();
  });

  after(async () => {
    await Promise.all(fleet.map((meter) => meter.stop()));
    await Promise.all(instances.map((instance) => instance.stop()));
    await mosquitto?.remove();
    await database?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function startInstance(name: string, port?: number): Promise<Appliance> {
    return startAppliance({
      env: {
        DATABASE_URL: server.url,
        MQTT_BROKER_HOST: '127.0.0.1',
        MQTT_BROKER_PORT: String(mosquitto.port),
        MQTT_USERNAME: 'gateway',
        MQTT_PASSWORD: 'secret of gateway',
        INSTANCE_ID: name,
        VIRTUAL_METERS: '0',
        PAYMENT_CALLBACK_SECRET: secret,
        PAYMENT_SHORT_CODE: shortCode,
        ...(port === undefined ? {} : { PORT: String(port) }),
      },
    });
  }

  it(`${callbacks} callbacks of ${receipts} receipts, ${atOnce} at once, credit each receipt once`, async () => {
    await openPrompts(database, access);
    const queue = shuffled([...everyReceipt(access), ...repeats(access)]);
    assert.equal(queue.length, callbacks);
    const troubles = new Map([
      [200, () => killInstance(0)],
      [450, () => killDatabase(folder)],
      [700, () => killInstance(1)],
    ]);
    let taken = 0;
    const workers = Array.from({ length: atOnce }, async (_, worker) => {
      for (let next = queue[taken++]; next !== undefined; next = queue[taken++]) {
        const trouble = troubles.get(taken);
        await Promise.all([deliver(next, worker + taken), trouble?.()]);
      }
    });
    await Promise.all(workers);

    await eachReceiptIsCreditedOnce();
    assert.deepEqual(await faults(database), []);
    await everyMeterAgrees();
    assert.deepEqual(await faults(database), []);
  });

  /** As the sender of the callbacks sees it: no answer, or one that is not 200, and it sends again, to whichever is up. */
  async function deliver({ path, body }: Sent, first: number): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const url = instances[(first + attempt) % instances.length]?.url ?? '';
      const answer = await post(`${url}${path}/${secret}`, body);
      if (answer?.status === 200) {
        assert.deepEqual(answer.said, { ResultCode: 0, ResultDesc: 'Accepted' });
        return;
      }
      assert.ok(answer === null || answer.status === 503, `answered ${answer?.status}`);
      assert.ok(attempt < 600, `never taken: ${path}`);
      await delay(100);
    }
  }

  async function killInstance(index: number): Promise<void> {
    const instance = instances[index];
    assert.ok(instance);
    instance.kill('SIGKILL');
    await instance.waitForExit();
    instances[index] = await startInstance(index === 0 ? 'one' : 'two', instance.port);
  }

  async function eachReceiptIsCreditedOnce(): Promise<void> {
    const rows = await database.query<{ receipt: string; amount: string; outcome: string }>({
      text: `select upper(receipt) as receipt, amount::text, outcome from payments
              where outcome in ('accepted', 'suspense') order by 1`,
    });
    const expected = Array.from({ length: receipts }, (_, n) => plan(n, access))
      .filter(({ channel }) => channel !== 'failed')
      .map(({ receipt, amount, meterId }) => ({
        receipt,
        amount: `${amount}.00`,
        outcome: meterId === null ? 'suspense' : 'accepted',
      }));
    assert.deepEqual(rows.rows, expected);
    const credited = await database.query<{ sum: string }>({
      text: `select (-sum(e.amount))::numeric(14, 2)::text as sum
               from ledger_entries e join accounts a on a.id = e.account_id where a.kind = 'provider'`,
    });
    const sum = expected.reduce((all, { amount }) => all + Number(amount), 0);
    assert.equal(credited.rows[0]?.sum, `${sum}.00`);
  }

  /** [P-6]: what the ledger says is what the meter shows, once the customers draw nothing and all reports are in. */
  async function everyMeterAgrees(): Promise<void> {
    for (const meter of fleet) await meter.command('pause');
    await metersAgreeWithin(toleratedUnits);
    // Whoever comes back is told, and then nothing is tolerated.
    for (const meter of fleet) await meter.command('reboot');
    await metersAgreeWithin(0);
  }

  async function metersAgreeWithin(units: number): Promise<void> {
    await eventually(
      async () => {
        for (const meter of fleet) {
          const { meter_id, balance, buffered } = meter.state;
          const answer = await fetch(`${instances[0]?.url}/api/meters/${meter_id}/balance`);
          const ledger = (await answer.json()) as { balance: number };
          assert.equal(buffered, 0, meter_id);
          const difference = Math.abs((balance ?? Infinity) - ledger.balance);
          assert.ok(difference <= units, `${meter_id}: ${balance}, not ${ledger.balance}`);
          assert.equal(meter.state.relay, ledger.balance > 0 ? 'on' : 'off', meter_id);
        }
      },
      { timeoutMs: 60_000, intervalMs: 500 },
    );
  }
});

function meterOf({ meterId, user, password }: MeterAccess, port: number): VirtualMeter {
  return createVirtualMeter({
    meterId,
    mqtt: { host: '127.0.0.1', port, username: user, password },
    seed: 7,
    backfillHours: 0,
    telemetrySeconds: 0,
    tickMs: 200,
    prepaid: { reportSeconds: 1, lowUnits: 10_000, mishaps: { lost: 0, doubled: 0.2 } },
  });
}

interface Planned {
  readonly channel: 'stk' | 'c2b' | 'failed';
  readonly receipt: string;
  readonly amount: number;
  /** Null: the payer named a meter that nobody knows. */
  readonly meterId: string | null;
}

/** What receipt `n` is about: every fifth a prompt, every tenth of the others for an unknown meter, some not paid. */
function plan(n: number, access: readonly MeterAccess[]): Planned {
  const channel = n % 25 === 0 ? 'failed' : n % 5 === 0 ? 'stk' : 'c2b';
  return {
    channel,
    receipt: receiptOf(n),
    amount: 10 + (n % 90),
    meterId: channel === 'c2b' && n % 10 === 3 ? null : (access[n % access.length]?.meterId ?? ''),
  };
}

function callbackOf(n: number, access: readonly MeterAccess[], repeat: number): Sent {
  const { channel, receipt, amount, meterId } = plan(n, access);
  if (channel === 'c2b') {
    const TransID = repeat % 2 === 1 ? receipt.toLowerCase() : receipt;
    return {
      path: '/api/payments/c2b/confirmation',
      body: c2bBody({
        TransID,
        TransAmount: `${amount}.00`,
        BillRefNumber: meterId ?? 'NOBODY',
        BusinessShortCode: shortCode,
        TransTime: providerTime(),
      }),
    };
  }
  const code = channel === 'failed' ? 1032 : 0;
  return { path: '/api/payments/stk', body: stkBody(`ws_CO_${n}`, { amount, receipt, code }) };
}

function everyReceipt(access: readonly MeterAccess[]): Sent[] {
  return Array.from({ length: receipts }, (_, n) => callbackOf(n, access, 0));
}

function repeats(access: readonly MeterAccess[]): Sent[] {
  return Array.from({ length: callbacks - receipts }, (_, n) => callbackOf(n % receipts, access, n));
}

/** As if POST /api/payments had asked the provider for them. */
async function openPrompts(database: Database, access: readonly MeterAccess[]): Promise<void> {
  const prompts = Array.from({ length: receipts }, (_, n) => ({ n, ...plan(n, access) })).filter(
    ({ channel }) => channel !== 'c2b',
  );
  await database.query({
    text: `insert into payment_prompts
             (checkout_request_id, meter_number, meter_id, amount, currency, phone_number, caller, state)
           select 'ws_CO_' || u.n, u.meter_id, u.meter_id, u.amount, 'KES', $4, 'test', 'open'
             from unnest($1::int[], $2::text[], $3::numeric[]) as u (n, meter_id, amount)`,
    values: [
      prompts.map(({ n }) => n),
      prompts.map(({ meterId }) => meterId),
      prompts.map(({ amount }) => amount),
      phone,
    ],
  });
}

/** East Africa Time, as yyyyMMddHHmmss. */
function providerTime(): string {
  return new Date(Date.now() + 3 * 3_600_000).toISOString().replace(/\D/g, '').slice(0, 14);
}

/** The same order in every run. */
function shuffled<T>(items: readonly T[]): T[] {
  const all = [...items];
  let seed = 20_261_121;
  for (let last = all.length - 1; last > 0; last -= 1) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((seed / 2 ** 32) * (last + 1));
    [all[last], all[other]] = [all[other] as T, all[last] as T];
  }
  return all;
}

async function post(url: string, body: object): Promise<{ status: number; said: unknown } | null> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    return { status: answer.status, said: await answer.json() };
  } catch {
    return null;
  }
}

/** What is wrong with the books: sums per commodity, caches, balances after the last entry. */
async function faults(database: Database): Promise<object[]> {
  const { rows } = await database.query({
    text: `select a.commodity, a.currency, sum(e.amount)::text as sum
             from ledger_entries e join accounts a on a.id = e.account_id
            group by 1, 2 having sum(e.amount) <> 0
           union all
           select a.meter_id, a.kind, a.balance::text
             from accounts a left join ledger_entries e on e.account_id = a.id
            where a.meter_id is not null
            group by a.id having a.balance <> coalesce(sum(e.amount), 0)
                or a.balance <> (array_agg(e.balance_after order by e.id desc))[1]`,
  });
  return rows;
}

/** SIGKILL to the postmaster and its children; it is started again by itself. */
async function killDatabase(folder: string): Promise<void> {
  for (const pid of await databaseProcesses(folder)) process.kill(pid, 'SIGKILL');
}

import assert from 'node:assert/strict';
import mqtt, { type MqttClient } from 'mqtt';
import { listen, type HttpHouse } from '../payments/provider-house.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { databaseProcesses } from '../support/database-processes.js';
import { eventually } from '../support/eventually.js';
import { registerMeters } from '../support/meters.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';
import { tokenOf } from '../tokens/injection-house.js';

/** A meter-management system and its meters, behind a real Mosquitto. */
interface Field {
  readonly mosquitto: Mosquitto;
  readonly url: string;
  /** Tokens in the order in which the system got them. */
  readonly calls: string[];
  /** Meters that had a second token before they answered the first. */
  readonly crowded: string[];
  /** Null: each meter answers at once. */
  gate: Promise<void> | null;
  close(): Promise<void>;
}

/** Alike on all instances: by it they know that two tokens are the same. */
const masterKey = '5a'.repeat(32);
/** No two tokens of a test are worth the same. */
const unitsOf = (token: string): number => Number((BigInt(token) >> 29n) & 4095n) / 10;

async function openField(): Promise<Field> {
  const mosquitto = await startMosquitto();
  const meters: MqttClient = await mqtt.connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`);
  const calls: string[] = [];
  const crowded: string[] = [];
  const busy = new Set<string>();
  const http: HttpHouse = await listen((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const { meter_number: name, credit_token: token } = JSON.parse(text) as Record<string, string>;
      calls.push(token ?? '');
      if (busy.has(name ?? '')) crowded.push(name ?? '');
      busy.add(name ?? '');
      response.writeHead(202).end('{}');
      void (field.gate ?? Promise.resolve()).then(() => {
        busy.delete(name ?? '');
        const answer = { meter_number: name, status: 'success', injected_units: unitsOf(token ?? '') };
        return meters.publishAsync(`meters/${name}/token/response`, JSON.stringify(answer), { qos: 1 });
      });
    });
  });
  const field: Field = {
    mosquitto,
    url: http.url,
    calls,
    crowded,
    gate: null,
    async close() {
      await meters.endAsync(true);
      await http.close();
      await mosquitto.remove();
    },
  };
  return field;
}

const environment = ({ mosquitto, url }: Field, more: Record<string, string>): Record<string, string> => ({
  MQTT_BROKER_HOST: '127.0.0.1',
  MQTT_BROKER_PORT: String(mosquitto.port),
  TOKEN_API_URL: url,
  VIRTUAL_METERS: '0',
  ...more,
});

interface Answer {
  readonly status: number;
  readonly body: { injection_id: string; injected_units?: number; error?: { code: string } };
}

async function inject(
  { url }: Appliance,
  meter_number: string,
  credit_token: string,
  signal: AbortSignal | null = null,
): Promise<Answer> {
  const answer = await fetch(`${url}/api/inject_token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ meter_number, credit_token }),
    signal,
  });
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

async function records({ url }: Appliance): Promise<{ status: string; injected_units: number | null }[]> {
  const answer = await fetch(`${url}/api/injections?limit=10`);
  return ((await answer.json()) as { data: { status: string; injected_units: number | null }[] }).data;
}

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

describe('Token injections through two Node-RED processes and a real Mosquitto', function () {
  this.timeout(240_000);
  let field: Field;
  let database: TestDatabase;
  let instances: [Appliance, Appliance];
  let names: string[];

  before(async () => {
    field = await openField();
    database = await createTestDatabase();
    const start = (name: string): Promise<Appliance> =>
      startAppliance({
        env: environment(field, { DATABASE_URL: database.url, INSTANCE_ID: name, MASTER_KEY: masterKey }),
      });
    instances = await Promise.all([start('one'), start('two')]);
    names = (await registerMeters(instances[0].port, 'METER', 8)).map(({ meterId }) => meterId);
  });
  after(async () => {
    await Promise.all((instances ?? []).map((instance) => instance.stop()));
    await field?.close();
    await database?.drop();
  });
  afterEach(() => {
    field.gate = null;
    field.calls.length = 0;
  });

  const rows = async (text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> =>
    (await database.database.query<Record<string, unknown>>({ text, values })).rows;

  it('are one call per token and one at a time per meter, whoever asks where [T-5]', async () => {
    const wanted = names.flatMap((name, m) =>
      Array.from({ length: 4 }, (_, n) => [name, tokenOf(m * 4 + n)] as const),
    );
    const answers = await Promise.all(
      wanted.map(([name, token]) => Promise.all(instances.map((one) => inject(one, name, token)))),
    );
    for (const [index, [one, two]] of answers.entries()) {
      const token = wanted[index]?.[1] ?? '';
      // Whoever comes when the other is done hears that it was confirmed; both at once hear the same.
      const statuses = [one?.status, two?.status];
      assert.ok(statuses.includes(200), `${token}: ${statuses.join()}`);
      for (const answer of [one, two]) {
        if (answer?.status === 200) assert.equal(answer.body.injected_units, unitsOf(token));
        else assert.equal(answer?.body.error?.code, 'TOKEN_USED', JSON.stringify(answer));
      }
      if (one?.status === two?.status) assert.equal(one?.body.injection_id, two?.body.injection_id);
    }
    assert.deepEqual([...field.calls].sort(), wanted.map(([, token]) => token).sort());
    assert.deepEqual(field.crowded, []);
    const [sum] = await rows(
      `select sum(injected_units)::float8 as told, (select sum(balance)::float8 from accounts where kind = 'units') as booked
         from token_injections where status = 'success'`,
    );
    assert.equal(sum?.['told'], sum?.['booked']);
  });

  it('of a caller who hangs up in line are never sent, and after that complete their record', async () => {
    const { opened, open } = gate();
    field.gate = opened;
    const [one] = instances;
    const [name = ''] = names;
    const [sent, inLine] = [new AbortController(), new AbortController()];
    const calls = [
      inject(one, name, tokenOf(100), sent.signal).catch((error: unknown) => error),
      eventually(() => assert.equal(field.calls.length, 1)).then(() =>
        inject(one, name, tokenOf(101), inLine.signal).catch((error: unknown) => error),
      ),
    ];
    await eventually(async () => {
      const metrics = await (await fetch(`${one.url}/metrics`)).text();
      assert.match(metrics, /^meterflow_token_injections_waiting 2$/m);
    });
    inLine.abort();
    await eventually(async () => {
      const metrics = await (await fetch(`${one.url}/metrics`)).text();
      assert.match(metrics, /^meterflow_token_injections_waiting 1$/m);
    });
    sent.abort();
    for (const call of calls) assert.ok((await call) instanceof Error);
    open();
    await eventually(async () => {
      const [row] = await rows(
        'select status from token_injections where token_last4 = $1',
        tokenOf(100).slice(-4),
      );
      assert.equal(row?.['status'], 'success');
    });
    assert.deepEqual(field.calls, [tokenOf(100)]);
  });

  it('leave no subscription behind at the broker', async () => {
    const watcher = await mqtt.connectAsync(`mqtt://127.0.0.1:${field.mosquitto.port}`);
    let count = -1;
    watcher.on('message', (_topic, payload) => (count = Number(payload.toString())));
    await watcher.subscribeAsync('$SYS/broker/subscriptions/count');
    let before = -2;
    // Mosquitto counts every second here: what was there before is what two counts agree on.
    await eventually(
      () => {
        const isSteady = count === before && count > 0;
        before = count;
        return isSteady;
      },
      { intervalMs: 2_500, timeoutMs: 30_000 },
    );
    const { opened, open } = gate();
    field.gate = opened;
    const waiting = names.map((name, n) => inject(instances[n % 2 === 0 ? 0 : 1], name, tokenOf(200 + n)));
    await eventually(() => assert.equal(count, before + names.length), { timeoutMs: 30_000 });
    open();
    for (const { status } of await Promise.all(waiting)) assert.equal(status, 200);
    await eventually(() => assert.equal(count, before), { timeoutMs: 30_000 });
    await watcher.endAsync(true);
  });
});

describe('A token injection whose database is away when the meter answers', function () {
  this.timeout(180_000);
  let field: Field;
  let appliance: Appliance;
  let stopped: number[] = [];

  before(async () => {
    field = await openField();
    appliance = await startAppliance({ env: environment(field, { TOKEN_RESPONSE_TIMEOUT_MS: '60000' }) });
    await registerMeters(appliance.port, 'METER', 1);
  });
  afterEach(() => resume());
  after(async () => {
    resume();
    await appliance?.stop();
    await field?.close();
  });

  async function halt(): Promise<void> {
    stopped = await databaseProcesses(appliance.dataDir);
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
  }
  function resume(): void {
    for (const pid of stopped.splice(0)) process.kill(pid, 'SIGCONT');
  }
  /** The token is with the system, its acknowledgement in the record, and the meter about to answer. */
  async function untilAcknowledged(n: number): Promise<void> {
    await eventually(async () => {
      assert.equal(field.calls.length, n);
      const answer = await fetch(`${appliance.url}/api/injections?limit=1`);
      const { data } = (await answer.json()) as { data: { phase: string }[] };
      assert.equal(data[0]?.phase, 'acknowledged');
    });
  }

  it('is answered when the database is back, booked once', async () => {
    const { opened, open } = gate();
    field.gate = opened;
    const call = inject(appliance, 'METER-0', tokenOf(1));
    await untilAcknowledged(1);
    await halt();
    open();
    let isOver = false;
    void call.then(() => (isOver = true));
    await assert.rejects(
      eventually(() => isOver, { timeoutMs: 2_000 }),
      'no success before the commit',
    );
    resume();
    const { status, body } = await call;
    assert.deepEqual([status, body.injected_units], [200, unitsOf(tokenOf(1))]);
    assert.deepEqual(
      (await records(appliance)).map((one) => [one.status, one.injected_units]),
      [['success', unitsOf(tokenOf(1))]],
    );
  });

  it('is 503 for a caller who cannot be kept waiting, and the record is true afterwards', async () => {
    const { opened, open } = gate();
    field.gate = opened;
    const call = inject(appliance, 'METER-0', tokenOf(2));
    await untilAcknowledged(2);
    await halt();
    open();
    const { status, body } = await call;
    assert.deepEqual([status, body.error?.code], [503, 'DATABASE_UNAVAILABLE']);
    resume();
    await eventually(
      async () => {
        const [last] = await records(appliance);
        assert.deepEqual([last?.status, last?.injected_units], ['success', unitsOf(tokenOf(2))]);
      },
      { timeoutMs: 30_000 },
    );
    assert.equal((await inject(appliance, 'METER-0', tokenOf(2))).body.error?.code, 'TOKEN_USED');
    assert.equal(field.calls.length, 2);
  });
});

import assert from 'node:assert/strict';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';
import { registerMeters, SendingMeter, type MeterAccess } from '../support/meters.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';

const meters = 20;
const readingsEach = 200;
const all = meters * readingsEach;

/** Two gateways of the real appliance, one database, one Mosquitto with logins. */
describe('two gateways behind an external broker [M-13]', function () {
  this.timeout(180_000);
  let database: TestDatabase;
  let line: FaultProxy;
  /** Between meters and broker. */
  let field: FaultProxy;
  let mosquitto: Mosquitto;
  let gateways: Appliance[] = [];
  let senders: SendingMeter[] = [];
  let round = 0;

  before(async () => {
    database = await createTestDatabase();
    const { hostname, port } = new URL(database.url);
    line = await startFaultProxy({ host: hostname, port: Number(port) });
    mosquitto = await startMosquitto({ logins: [{ user: 'gateway', password: 'secret of gateway' }] });
    field = await startFaultProxy({ host: '127.0.0.1', port: mosquitto.port });
    // One after the other: both would migrate, which is another test.
    gateways = await Promise.all([startGateway('one'), startGateway('two')]);
  });
  afterEach(async () => {
    await Promise.all(senders.map((sender) => sender.end()));
    senders = [];
  });
  after(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await mosquitto?.remove();
    await line?.close();
    await field?.close();
    await database?.drop();
  });

  const ports = new Map<string, string>();
  async function startGateway(instance: string): Promise<Appliance> {
    const gateway = await startAppliance({
      env: {
        DATABASE_URL: through(line, database.url),
        MQTT_BROKER_HOST: '127.0.0.1',
        MQTT_BROKER_PORT: String(mosquitto.port),
        MQTT_USERNAME: 'gateway',
        MQTT_PASSWORD: 'secret of gateway',
        INSTANCE_ID: instance,
        VIRTUAL_METERS: '0',
        ...(ports.has(instance) ? { PORT: ports.get(instance) ?? '' } : {}),
      },
    });
    ports.set(instance, String(gateway.port));
    return gateway;
  }

  async function sendAll(spreadMs: number): Promise<MeterAccess[]> {
    const access = await registerMeters(gateways[0]?.port ?? 0, `EXT${++round}`, meters);
    await mosquitto.admit(access);
    senders = access.map((one) => new SendingMeter(one, field.port));
    for (const sender of senders) sender.send(readingsEach, spreadMs);
    return access;
  }

  const acknowledged = (): number => senders.reduce((sum, sender) => sum + sender.acknowledged.size, 0);

  /** What the broker took from the meters: all of it, once, and nothing in quarantine. */
  async function allAreStored(access: readonly MeterAccess[]): Promise<void> {
    await eventually(() => assert.equal(acknowledged(), all), { timeoutMs: 60_000 });
    await eventually(async () => assert.equal(await stored(access), all), {
      timeoutMs: 60_000,
      intervalMs: 200,
    });
    const { rows } = await database.database.query<{ code: string }>({
      text: 'select code from quarantined_messages limit 5',
    });
    assert.deepEqual(rows, []);
  }

  async function stored(access: readonly MeterAccess[]): Promise<number> {
    const { rows } = await database.database.query<{ count: number }>({
      text: 'select count(*)::int as count from meter_readings where meter_id = any($1::text[])',
      values: [access.map(({ meterId }) => meterId)],
    });
    return rows[0]?.count ?? 0;
  }

  it('share the work, each reading once', async () => {
    const before = await Promise.all(gateways.map(submitted));
    await allAreStored(await sendAll(1500));
    const after = await Promise.all(gateways.map(submitted));
    const shares = after.map((count, index) => count - (before[index] ?? 0));
    assert.equal(
      shares.reduce((sum, share) => sum + share, 0),
      all,
      'a reading taken in twice would be counted as duplicate',
    );
    for (const share of shares) assert.ok(share > 0.2 * all, `shares ${shares.join(', ')}`);
  });

  it('lose nothing when one of them is killed under load and comes back', async () => {
    const access = await sendAll(4000);
    await eventually(() => assert.ok(acknowledged() > 500));
    gateways[1]?.kill('SIGKILL');
    await gateways[1]?.waitForExit();
    await eventually(() => assert.ok(acknowledged() > 1500));
    gateways[1] = await startGateway('two');
    await allAreStored(access);
  });

  it('lose nothing when the broker is restarted under load', async () => {
    const access = await sendAll(4000);
    await eventually(() => assert.ok(acknowledged() > 500));
    const connects = gateways.map(connectsOf);
    // Mosquitto forgets shared subscriptions in a restart, so the gateways have to be back before the meters
    // (docs/operating.md says what to do where that cannot be had).
    field.cut();
    await mosquitto.stop();
    await mosquitto.start();
    await eventually(() => gateways.every((gateway, index) => connectsOf(gateway) > (connects[index] ?? 0)), {
      timeoutMs: 30_000,
    });
    field.pass();
    await allAreStored(access);
    for (const gateway of gateways) assert.equal((await fetch(`${gateway.url}/readyz`)).status, 200);
  });

  it('lose nothing when the flows are redeployed under load', async () => {
    const access = await sendAll(4000);
    for (const part of [500, 2000]) {
      await eventually(() => assert.ok(acknowledged() > part));
      await redeploy(gateways[0]);
    }
    await allAreStored(access);
  });

  it('hold what they have while the database is away, and go on by themselves', async () => {
    const access = await sendAll(3000);
    await eventually(async () => assert.ok((await stored(access)) > 500));
    line.cut();
    await eventually(() => assert.equal(acknowledged(), all), { timeoutMs: 30_000 });
    const inflight = await Promise.all(gateways.map((gateway) => metric(gateway, 'meterflow_inflight')));
    for (const count of inflight) assert.ok(count <= 2_600, `bounded: ${count} in flight`);
    line.pass();
    await allAreStored(access);
  });

  it('leave it to the one that takes in already, when the broker cannot share', async () => {
    const other = await createTestDatabase();
    const env = { DATABASE_URL: other.url, VIRTUAL_METERS: '0' };
    const embedded = await startAppliance({ env: { ...env, INSTANCE_ID: 'embedded' } });
    const second = await startAppliance({
      env: {
        ...env,
        INSTANCE_ID: 'second',
        MQTT_BROKER_HOST: '127.0.0.1',
        MQTT_BROKER_PORT: String(embedded.mqttPort),
        MQTT_USERNAME: 'iot_user',
        MQTT_PASSWORD: 'iot123',
      },
    });
    try {
      await eventually(() => assert.match(second.output(), /standing by: another instance takes in/), {
        timeoutMs: 30_000,
      });
    } finally {
      await Promise.all([embedded.stop(), second.stop()]);
      await other.drop();
    }
  });

  it('keep the embedded broker off', async () => {
    for (const gateway of gateways) {
      assert.match(gateway.output(), new RegExp(`mqtt://127.0.0.1:${mosquitto.port}`));
      assert.match(gateway.output(), /Connected to broker/);
    }
  });
});

/** As the editor does with *Full*: every node is closed and made anew. */
async function redeploy(gateway: Appliance | undefined): Promise<void> {
  const url = `${gateway?.url}/flows`;
  const flows = (await (await fetch(url)).json()) as object[];
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'node-red-deployment-type': 'full' },
    body: JSON.stringify(flows),
  });
  assert.equal(answer.status, 204);
}

function connectsOf(gateway: Appliance): number {
  return gateway.output().split('Connected to broker').length - 1;
}

async function submitted(gateway: Appliance): Promise<number> {
  return metric(gateway, 'meter_readings_submitted_total{source="mqtt"}');
}

async function metric(gateway: Appliance, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const row = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(row?.slice(name.length + 1) ?? 0);
}

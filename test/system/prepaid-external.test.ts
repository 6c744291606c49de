import assert from 'node:assert/strict';
import mqtt, { type MqttClient } from 'mqtt';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { balanceOf, credit, discrepancies } from '../balances/meters.js';
import { eventually } from '../support/eventually.js';
import { registerMeters, type MeterAccess } from '../support/meters.js';
import { startMosquitto, type Mosquitto } from '../support/mosquitto.js';

const count = 10;

/** A prepaid meter of the original kind: takes over what it is told, reports what it uses, sends again what got lost. */
class PrepaidMeter {
  readonly timestamps: number[] = [];
  balance = 0;
  used = 0;
  open = 0;
  private constructor(
    private readonly access: MeterAccess,
    private readonly client: MqttClient,
  ) {}

  static async connect(access: MeterAccess, port: number): Promise<PrepaidMeter> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      username: access.user,
      password: access.password,
      clientId: access.user,
      clean: false,
      reconnectPeriod: 200,
    });
    client.on('error', () => undefined);
    const meter = new PrepaidMeter(access, client);
    client.on('message', (_topic, payload) => meter.hear(payload));
    await client.subscribeAsync(`smartmeter/${access.meterId}/command/#`, { qos: 1 });
    meter.ask();
    return meter;
  }

  /** [M-5] */
  ask(): void {
    this.client.publish(`smartmeter/${this.access.meterId}/balance/request`, '{}', { qos: 0 });
  }

  /** 0.0048 units, reported once or twice. */
  use(timestamp: number, times: number): void {
    this.used += 48;
    this.balance -= 48;
    const report = JSON.stringify({
      meterNo: this.access.meterId,
      unitsConsumed: 0.0048,
      remainingBalance: this.balance / 10_000,
      timestamp,
    });
    for (let n = 0; n < times; n += 1) {
      this.open += 1;
      this.client.publish(
        `smartmeter/${this.access.meterId}/consumption`,
        report,
        { qos: 1 },
        () => (this.open -= 1),
      );
    }
  }

  private hear(payload: Buffer): void {
    const { balance, timestamp } = JSON.parse(payload.toString()) as { balance: number; timestamp: number };
    this.timestamps.push(timestamp);
    this.balance = Math.round(balance * 10_000);
    const confirmation = JSON.stringify({ meterNo: this.access.meterId, balance, timestamp });
    this.client.publish(`smartmeter/${this.access.meterId}/balance`, confirmation, { qos: 0 });
  }

  end(): Promise<void> {
    return this.client.endAsync(true);
  }
}

describe('prepaid meters behind an external broker, with two instances', function () {
  this.timeout(180_000);
  let database: TestDatabase;
  let mosquitto: Mosquitto;
  let instances: Appliance[] = [];
  let meters: PrepaidMeter[] = [];

  before(async () => {
    database = await createTestDatabase();
    mosquitto = await startMosquitto({ logins: [{ user: 'gateway', password: 'secret of gateway' }] });
    instances = await Promise.all([startInstance('one'), startInstance('two')]);
  });
  after(async () => {
    await Promise.all(meters.map((meter) => meter.end()));
    await Promise.all(instances.map((instance) => instance.stop()));
    await mosquitto?.remove();
    await database?.drop();
  });

  const startInstance = (instance: string): Promise<Appliance> =>
    startAppliance({
      env: {
        DATABASE_URL: database.url,
        MQTT_BROKER_HOST: '127.0.0.1',
        MQTT_BROKER_PORT: String(mosquitto.port),
        MQTT_USERNAME: 'gateway',
        MQTT_PASSWORD: 'secret of gateway',
        INSTANCE_ID: instance,
        VIRTUAL_METERS: '0',
      },
    });

  it('pay and use at once, one instance is killed, and all end with the ledger’s balance [P-6]', async () => {
    const access = await registerMeters(instances[0]?.port ?? 0, 'PREPAID', count);
    await mosquitto.admit(access);
    meters = await Promise.all(access.map((one) => PrepaidMeter.connect(one, mosquitto.port)));
    const begin = Date.now() - 600_000;
    const paying: Promise<void>[] = [];
    for (let round = 0; round < 30; round += 1) {
      for (const [index, meter] of meters.entries()) {
        meter.use(begin + round * 1000, round % 3 === 0 ? 2 : 1);
        paying.push(credit(database.database, access[index]?.meterId ?? '', 0.5));
      }
      await Promise.all(paying.slice(-count));
      if (round === 15) instances[1]?.kill('SIGKILL');
    }
    await Promise.all(paying);
    // What the broker had handed to it and it had not acknowledged, the broker keeps for it.
    await instances[1]?.waitForExit();
    instances[1] = await startInstance('two');
    await eventually(() => meters.every(({ open }) => open === 0), { timeoutMs: 30_000 });
    const expected = (15 - 30 * 0.0048).toFixed(4);
    for (const { meterId } of access) {
      await eventually(async () => assert.equal(await balanceOf(database.database, meterId), expected), {
        timeoutMs: 60_000,
      });
    }
    await eventually(() => meters.every(({ balance }) => balance === Number(expected) * 10_000), {
      timeoutMs: 60_000,
    });
    for (const { timestamps } of meters) {
      assert.ok(timestamps.length > 0);
      assert.ok(
        timestamps.every((timestamp, index) => timestamp > (timestamps[index - 1] ?? 0)),
        timestamps.join(', '),
      );
    }
    assert.equal(await discrepancies(database.database), 0);
  });
});

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { databaseProcesses } from '../support/database-processes.js';
import { eventually } from '../support/eventually.js';
import { Firmware } from '../support/firmware.js';
import { registerMeters, type MeterAccess } from '../support/meters.js';

const meters = 20;
const reportsEach = 200;

/** [P-6] with real signals: each report is deducted once, whatever dies between its PUBLISH and its PUBACK. */
describe('consumption while something is killed', function () {
  this.timeout(180_000);
  let dataDir: string;
  let appliance: Appliance;
  let access: MeterAccess[];
  let firmwares: Firmware[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'meterflow-consumption-'));
    appliance = await startAppliance({ dataDir, env: { VIRTUAL_METERS: '0' } });
    access = await registerMeters(appliance.port, 'USED', meters);
    firmwares = access.map(
      ({ user, password }) => new Firmware({ port: appliance.mqttPort, user, password, window: 20 }),
    );
  });

  afterEach(async () => {
    for (const firmware of firmwares) firmware.end();
    await appliance.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  /** Every report of a meter has units of its own, and every tenth is sent twice. */
  function sendAll(): void {
    const begin = Date.now() - 3_600_000;
    access.forEach(({ meterId }, index) => {
      for (let n = 0; n < reportsEach; n += 1) {
        const payload = JSON.stringify({
          meterNo: meterId,
          unitsConsumed: (n + 1) / 10_000,
          remainingBalance: 1,
          timestamp: begin + n * 1000,
        });
        firmwares[index]?.publish(`smartmeter/${meterId}/consumption`, payload);
        if (n % 10 === 0) firmwares[index]?.publish(`smartmeter/${meterId}/consumption`, payload);
      }
    });
  }

  const acknowledged = (): number =>
    firmwares.reduce((sum, { acknowledgements }) => sum + acknowledgements, 0);

  async function eachIsDeductedOnce(): Promise<void> {
    await eventually(
      () =>
        assert.equal(
          firmwares.reduce((sum, { unacknowledged }) => sum + unacknowledged, 0),
          0,
        ),
      {
        timeoutMs: 90_000,
      },
    );
    const used = -((reportsEach * (reportsEach + 1)) / 2) / 10_000;
    for (const { meterId } of access) {
      const answer = await fetch(`${appliance.url}/api/meters/${meterId}/balance`);
      assert.equal(answer.status, 200, await answer.clone().text());
      const { balance } = (await answer.json()) as { balance: number };
      assert.equal(balance, used, meterId);
    }
  }

  it('goes on by itself after every PostgreSQL process was killed', async () => {
    sendAll();
    await eventually(() => acknowledged() > 100);
    for (const pid of await databaseProcesses(dataDir)) process.kill(pid, 'SIGKILL');
    await eachIsDeductedOnce();
  });

  it('is deducted once after kill -9 of Node-RED and a new start', async () => {
    sendAll();
    await eventually(() => acknowledged() > 100);
    const { port, mqttPort } = appliance;
    appliance.kill('SIGKILL');
    await appliance.waitForExit();
    assert.ok(
      firmwares.some(({ unacknowledged }) => unacknowledged > 0),
      'killed in the middle',
    );
    appliance = await startAppliance({
      dataDir,
      env: { VIRTUAL_METERS: '0', PORT: String(port), MQTT_BROKER_PORT: String(mqttPort) },
    });
    await eachIsDeductedOnce();
  });
});

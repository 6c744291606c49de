import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { databaseProcesses } from '../support/database-processes.js';
import { eventually } from '../support/eventually.js';
import { registerMeters, SendingMeter, storedTimes, type MeterAccess } from '../support/meters.js';

const meters = 20;
const readingsEach = 200;

/** [M-13] with real signals: what was acknowledged is there, what was not comes again, and service resumes by itself. */
describe('readings while something is killed', function () {
  this.timeout(180_000);
  let dataDir: string;
  let appliance: Appliance;
  let access: MeterAccess[];
  let senders: SendingMeter[] = [];
  let round = 0;

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'meterflow-kill-'));
    appliance = await startAppliance({ dataDir, env: { VIRTUAL_METERS: '0' } });
  });
  after(async () => {
    await appliance?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  beforeEach(async () => {
    access = await registerMeters(appliance.port, `KILL${++round}`, meters);
  });
  afterEach(async () => {
    await Promise.all(senders.map((sender) => sender.end()));
    senders = [];
  });

  function sendAll(spreadMs: number): void {
    senders = access.map((one) => new SendingMeter(one, appliance.mqttPort));
    for (const sender of senders) sender.send(readingsEach, spreadMs);
  }

  const acknowledged = (): number => senders.reduce((sum, sender) => sum + sender.acknowledged.size, 0);

  async function allArriveInTheEnd(): Promise<void> {
    await eventually(() => assert.equal(acknowledged(), meters * readingsEach), { timeoutMs: 60_000 });
    await nothingAcknowledgedIsMissing();
  }

  async function nothingAcknowledgedIsMissing(): Promise<void> {
    for (const [index, one] of access.entries()) {
      // Taken before the look at the database: more may be acknowledged meanwhile.
      const acknowledgedYet = [...(senders[index]?.acknowledged ?? [])];
      const stored = await storedTimes(appliance.port, one.meterId);
      const missing = acknowledgedYet.filter((time) => !stored.has(time));
      assert.deepEqual(missing, [], `acknowledged by ${one.meterId} and not stored`);
    }
  }

  it('acknowledges nothing while PostgreSQL is stopped, and everything after it goes on', async () => {
    sendAll(3000);
    await eventually(() => assert.ok(acknowledged() > 100));
    const processes = await databaseProcesses(dataDir);
    for (const pid of processes) process.kill(pid, 'SIGSTOP');
    const before = await quietAcknowledgements(acknowledged);
    try {
      await new Promise((done) => setTimeout(done, 3000));
      assert.equal(acknowledged(), before, 'no PUBACK while nothing can be committed');
    } finally {
      for (const pid of processes) process.kill(pid, 'SIGCONT');
    }
    await allArriveInTheEnd();
    const reconnects = senders.reduce((sum, sender) => sum + sender.connects - 1, 0);
    assert.equal(reconnects, 0, 'held, not failed: nobody was thrown out');
  });

  it('goes on by itself after every PostgreSQL process was killed', async () => {
    sendAll(3000);
    await eventually(() => assert.ok(acknowledged() > 100));
    for (const pid of await databaseProcesses(dataDir)) process.kill(pid, 'SIGKILL');
    await allArriveInTheEnd();
  });

  it('has every acknowledged reading after kill -9 of Node-RED and a new start', async () => {
    sendAll(3000);
    await eventually(() => assert.ok(acknowledged() > 100));
    const { port, mqttPort } = appliance;
    appliance.kill('SIGKILL');
    await appliance.waitForExit();
    appliance = await startAppliance({
      dataDir,
      env: { VIRTUAL_METERS: '0', PORT: String(port), MQTT_BROKER_PORT: String(mqttPort) },
    });
    await nothingAcknowledgedIsMissing();
    await allArriveInTheEnd();
  });
});

/** Waits until acknowledgements that were already under way have arrived. */
async function quietAcknowledgements(count: () => number): Promise<number> {
  let last = -1;
  await eventually(
    () => {
      const now = count();
      const quiet = now === last;
      last = now;
      assert.ok(quiet);
    },
    { intervalMs: 300 },
  );
  return last;
}

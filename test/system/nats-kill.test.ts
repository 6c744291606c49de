import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { eventually } from '../support/eventually.js';
import { registerMeters, SendingMeter } from '../support/meters.js';
import { countIn, startNats, storedIn, type TestNats } from '../support/nats.js';

const meters = 10;
const readingsEach = 200;

/** [L-2] with the shipped flows and real signals. */
describe('forwarding to NATS while everything is killed', function () {
  this.timeout(180_000);
  let dataDir: string;
  let nats: TestNats;
  let appliance: Appliance;
  let senders: SendingMeter[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'meterflow-nats-kill-'));
    nats = await startNats();
    appliance = await start();
  });
  afterEach(async () => {
    await Promise.all(senders.map((sender) => sender.end()));
    senders = [];
    await appliance.stop();
    await nats.remove();
    await rm(dataDir, { recursive: true, force: true });
  });

  function start(ports: Readonly<Record<string, string>> = {}): Promise<Appliance> {
    return startAppliance({
      dataDir,
      env: { VIRTUAL_METERS: '0', MOCK_SYNC: 'off', NATS_URL: nats.url, INSTANCE_ID: 'one', ...ports },
    });
  }

  it('has every acknowledged reading once, after NATS and then Node-RED were killed in the middle', async () => {
    const access = await registerMeters(appliance.port, 'NATS', meters);
    senders = access.map((one) => new SendingMeter(one, appliance.mqttPort));
    for (const sender of senders) sender.send(readingsEach, 6_000);
    const acknowledged = (): number => senders.reduce((sum, sender) => sum + sender.acknowledged.size, 0);
    await eventually(async () => assert.ok((await countIn(nats)) > 100), { timeoutMs: 20_000 });
    await nats.stop('SIGKILL');
    const before = acknowledged();
    await eventually(() => assert.ok(acknowledged() > before + 200), { timeoutMs: 20_000 });
    appliance.kill('SIGKILL');
    await appliance.waitForExit();
    await nats.start();
    appliance = await start({
      PORT: String(appliance.port),
      MQTT_BROKER_PORT: String(appliance.mqttPort),
    });
    await eventually(() => assert.equal(acknowledged(), meters * readingsEach), { timeoutMs: 60_000 });
    await eventually(async () => assert.equal(await countIn(nats), meters * readingsEach), {
      timeoutMs: 20_000,
    });
    const stored = await storedIn(nats);
    const found = stored.map(({ subject, payload }) => `${subject} ${timeOf(payload)}`);
    const expected = access.flatMap(({ meterId }, index) =>
      [...(senders[index]?.acknowledged ?? [])].map((time) => `meterflow.meters.${meterId}.readings ${time}`),
    );
    assert.deepEqual(found.sort(), expected.sort());
  });
});

function timeOf(payload: Buffer): number {
  return (JSON.parse(payload.toString()) as { reading_timestamp: number }).reading_timestamp;
}

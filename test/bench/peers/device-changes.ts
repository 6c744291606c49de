/**
 * A program that changes devices, in a process of its own. With PEER_MQTT_PORT it is the usual script: it publishes each
 * change after the commit. Without, somebody else has to tell of the changes.
 */
import { connect, type MqttClient } from 'mqtt';
import { Pool } from 'pg';
import { deviceOf, type ChangeOrder, type ChangeReport } from '../events/plan.js';

const atOnceMax = 20;
const pool = new Pool({ connectionString: process.env['PEER_PG_URL'], max: atOnceMax });
const mqttPort = process.env['PEER_MQTT_PORT'];
const client: MqttClient | undefined =
  mqttPort === undefined ? undefined : connect(`mqtt://127.0.0.1:${mqttPort}`, { reconnectPeriod: 100 });
client?.on('error', () => undefined);

/** In one statement with a row that says what was committed, for the comparison afterwards. */
const text = `with changed as (update devices set name = $2 where id = $1 returning id)
  insert into changes (device_id, name) select id, $2 from changed`;

async function change(number: number): Promise<void> {
  const device = deviceOf(number);
  const name = `${number} ${(performance.timeOrigin + performance.now()).toFixed(2)}`;
  await pool.query({ name: 'change', text, values: [device, name] });
  const event = {
    event_type: 'device.updated',
    device_id: device,
    timestamp: new Date().toISOString(),
    device_data: { id: device, name, type: 'sensor', status: 'offline' },
    metadata: { source: 'script' },
  };
  client?.publish(`energy/events/devices/${device}/device.updated`, JSON.stringify(event), { qos: 1 });
}

/** `perSecond` null: as fast as it goes. */
async function run({ first, perSecond, seconds }: ChangeOrder): Promise<ChangeReport> {
  const begun = performance.now();
  const until = begun + seconds * 1000;
  let next = first;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) await change(next++);
  };
  if (perSecond === null) await Promise.all(Array.from({ length: atOnceMax }, worker));
  else {
    const underWay = new Set<Promise<void>>();
    while (performance.now() < until) {
      const due = Math.floor(((performance.now() - begun) / 1000) * perSecond);
      while (next - first < due) {
        const one: Promise<void> = change(next++).finally(() => underWay.delete(one));
        underWay.add(one);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(underWay);
  }
  return { changes: next - first, seconds: (performance.now() - begun) / 1000 };
}

process.on('message', (order: ChangeOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
const ready =
  client === undefined ? pool.query('select 1') : new Promise((done) => client.once('connect', done));
void ready.then(() => process.send?.('ready'));

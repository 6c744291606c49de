/**
 * The script that an expert would write in an afternoon: one MQTT subscription, a check, and one set-based insert per
 * batch on two connections. Fast, and the price is that Mosquitto has acknowledged long before anything is stored.
 */
import { connect } from 'mqtt';
import { Pool } from 'pg';

const batchMax = 1_000;
const delayMs = 5;
const insertsAtOnce = 2;

const pool = new Pool({ connectionString: process.env['PEER_PG_URL'], max: insertsAtOnce });
const insert = {
  name: 'insert',
  text: `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
         select m, e, to_timestamp(t) from unnest($1::text[], $2::numeric[], $3::float8[]) as r (m, e, t)
         on conflict do nothing`,
};

let meters: string[] = [];
let energies: number[] = [];
let times: number[] = [];
let inserting = 0;
let timer: NodeJS.Timeout | undefined;

const client = connect(`mqtt://127.0.0.1:${process.env['PEER_MQTT_PORT']}`, {
  clientId: 'expert',
  // Mosquitto keeps what comes while this script is away.
  clean: false,
  protocolVersion: 4,
});
client.on('connect', () => {
  client.subscribe('meters/+/readings', { qos: 1 }, () => process.stdout.write('subscribed\n'));
});
client.on('message', (topic, payload) => {
  const { kwh_amount, reading_timestamp } = JSON.parse(payload.toString()) as Record<string, unknown>;
  if (typeof kwh_amount !== 'number' || !(kwh_amount > 0 && kwh_amount <= 100)) return;
  if (typeof reading_timestamp !== 'number') return;
  meters.push(topic.slice('meters/'.length, -'/readings'.length));
  energies.push(kwh_amount);
  times.push(reading_timestamp / 1_000);
  if (meters.length >= batchMax) flush();
  else timer ??= setTimeout(flush, delayMs);
});

function flush(): void {
  clearTimeout(timer);
  timer = undefined;
  if (meters.length === 0 || inserting >= insertsAtOnce) return;
  const values = [meters.splice(0, batchMax), energies.splice(0, batchMax), times.splice(0, batchMax)];
  void store(values);
}

async function store(values: unknown[]): Promise<void> {
  inserting += 1;
  try {
    await pool.query({ ...insert, values });
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  }
  inserting -= 1;
  if (meters.length > 0) flush();
}

process.on('SIGTERM', () => process.exit(0));

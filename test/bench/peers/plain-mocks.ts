/**
 * The usual script: an mqtt.js client and a timer for each mock, a random number for its power. It begins anew at every
 * start, follows no device and hears no event. Says `all online` once they are.
 */
import { readFileSync } from 'node:fs';
import mqtt from 'mqtt';

interface Login {
  readonly id: string;
  readonly password: string;
}

const logins = JSON.parse(readFileSync(process.env['BENCH_LOGINS'] ?? '', 'utf8')) as Login[];
const url = `mqtt://127.0.0.1:${process.env['BENCH_MQTT_PORT']}`;
let online = 0;
let next = 0;

function connectOne(): void {
  const login = logins[next++];
  if (login === undefined) return;
  const { id, password } = login;
  let energy = 0;
  let isFirst = true;
  const client = mqtt.connect(url, { clientId: id, username: id, password, keepalive: 60 });
  client.on('error', (error) => process.stderr.write(`${error.message}\n`));
  client.on('connect', () => {
    if (!isFirst) return;
    isFirst = false;
    online += 1;
    if (online === logins.length) process.stdout.write('all online\n');
    connectOne();
  });
  setInterval(() => {
    const power = 5 * Math.random();
    energy += (power * 5) / 3600;
    const telemetry = {
      device_id: id,
      timestamp: new Date().toISOString(),
      power_kw: power,
      voltage_v: 240,
      energy_kwh: energy,
    };
    if (client.connected) client.publish(`devices/${id}/telemetry`, JSON.stringify(telemetry), { qos: 0 });
  }, 5_000);
}

// As many at a time as ours.
for (let lane = 0; lane < 64; lane += 1) connectOne();
process.once('SIGTERM', () => process.exit(0));

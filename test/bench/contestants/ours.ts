import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { generateSecret, hashSecret } from '../../../src/devices/credentials.js';
import { startAppliance } from '../../support/appliance.js';
import type { Contestant } from './contestant.js';

/** What the load needs: readings a second apart with the rule on, and one device may say more than 50 things a second. */
export const settings = {
  READING_MIN_SPACING_SECONDS: '1',
  MQTT_DEVICE_RATE: '1000000',
  MQTT_DEVICE_BURST: '1000000',
  VIRTUAL_METERS: '0',
};

/** `npm start`: broker, shipped flows, rules, PUBACK after the commit. */
export const ours: Contestant = {
  name: 'meterflow',
  about: 'npm start: own broker with logins and ACL, shipped flows, spacing rule, PUBACK after commit',
  async start({ databaseUrl, folder, meterIds }) {
    const options = { dataDir: folder, env: { ...settings, ...profiling(), DATABASE_URL: databaseUrl } };
    let appliance = await startAppliance(options);
    const kill = (): void => appliance.kill('SIGTERM');
    process.once('exit', kill);
    const passwords = await registerAtOnce(databaseUrl, meterIds);
    return {
      mqttPort: appliance.mqttPort,
      pids: () => [appliance.pid],
      logins: meterIds.map((meterId, index) => ({
        meterId,
        clientId: meterId,
        user: meterId,
        password: passwords[index] ?? '',
      })),
      storesLater: false,
      async crash() {
        const { port, mqttPort } = appliance;
        appliance.kill('SIGKILL');
        await appliance.waitForExit();
        await delay(1_000);
        const ports = { PORT: String(port), MQTT_BROKER_PORT: String(mqttPort) };
        appliance = await startAppliance({ ...options, env: { ...options.env, ...ports } });
      },
      async stop() {
        process.off('exit', kill);
        await appliance.stop();
      },
    };
  },
};

/** BENCH_NODE_OPTIONS=--cpu-prof shows where the time goes. */
function profiling(): Record<string, string> {
  const options = process.env['BENCH_NODE_OPTIONS'];
  return options === undefined ? {} : { NODE_OPTIONS: options };
}

/** Hundreds of devices in one statement, with the registry's own credentials. */
async function registerAtOnce(url: string, meterIds: readonly string[]): Promise<string[]> {
  const passwords = meterIds.map(() => generateSecret());
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query({
      text: `insert into devices (meter_id, type, mqtt_user, password_hash)
             select m, 'meter', m, h from unnest($1::text[], $2::bytea[]) as d (m, h)`,
      values: [meterIds, passwords.map(hashSecret)],
    });
  } finally {
    await client.end();
  }
  return passwords;
}

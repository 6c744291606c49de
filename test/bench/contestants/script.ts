import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startChild, type Child } from './child.js';
import type { Contestant } from './contestant.js';
import { startMosquitto } from './mosquitto.js';
import { createPeerTable } from './peer-table.js';

/** Enough for any burst of the bench: an expert knows Mosquitto's default of 1,000 and that it drops silently. */
const queuedMax = 5_000_000;

export const script: Contestant = {
  name: 'expert script',
  about: 'mqtt.js + pg with batched unnest, on Mosquitto with a long queue',
  async start({ databaseUrl, folder, meterIds }) {
    await createPeerTable(databaseUrl);
    const mosquitto = await startMosquitto(folder, queuedMax);
    const file = resolve(__dirname, '../peers/expert-script.ts');
    const env = { NODE_ENV: 'production', PEER_MQTT_PORT: String(mosquitto.port), PEER_PG_URL: databaseUrl };
    const launch = async (): Promise<Child> => {
      const started = startChild(process.execPath, ['--require', 'tsx/cjs', file], { env });
      await started.says('subscribed');
      return started;
    };
    let child = await launch();
    return {
      mqttPort: mosquitto.port,
      pids: () => [child.pid, mosquitto.child.pid],
      logins: meterIds.map((meterId) => ({ meterId, clientId: meterId })),
      storesLater: true,
      async crash() {
        await child.crash();
        await delay(1_000);
        child = await launch();
      },
      async stop() {
        await child.stop();
        await mosquitto.child.stop();
      },
    };
  },
};

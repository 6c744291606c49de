import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../support/ports.js';
import { createPlainTables } from '../prepaid/plain-house.js';
import { startChild, type Child } from './child.js';
import type { Contestant } from './contestant.js';
import { startMosquitto } from './mosquitto.js';

/** So many reports may wait: what is lost is lost by the pattern, not by Mosquitto's default of 1,000. */
const queuedMax = 5_000_000;

/** Prepaid money as it is usually begun. */
export const plain: Contestant = {
  name: 'plain pattern',
  about: 'read balance → write balance → publish: node:http, mqtt.js and pg, on Mosquitto with a long queue',
  async start({ databaseUrl, folder, meterIds }) {
    await createPlainTables(databaseUrl);
    const mosquitto = await startMosquitto(folder, queuedMax);
    const httpPort = await freePort();
    const file = resolve(__dirname, '../peers/plain-system.ts');
    const env = {
      NODE_ENV: 'production',
      PEER_HTTP_PORT: String(httpPort),
      PEER_MQTT_PORT: String(mosquitto.port),
      PEER_PG_URL: databaseUrl,
    };
    const launch = async (): Promise<Child> => {
      const started = startChild(process.execPath, ['--require', 'tsx/cjs', file], { env });
      await started.says('listening');
      return started;
    };
    let child = await launch();
    return {
      mqttPort: mosquitto.port,
      httpUrl: `http://127.0.0.1:${httpPort}`,
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

import { resolve } from 'node:path';
import { freePort } from '../../support/ports.js';
import { answerTimeoutMs, numberOf } from '../injections/plan.js';
import { startChild } from './child.js';
import type { Contestant } from './contestant.js';
import { startMosquitto } from './mosquitto.js';

const queuedMax = 100_000;

/** Tokens as it is usually begun. */
export function naiveInjection(vendorUrl: string): Contestant {
  return {
    name: 'naive pattern',
    about:
      'subscribe → POST → next message on the topic → unsubscribe, for each request on one client: node:http and mqtt.js, ' +
      'on Mosquitto; no record of anything',
    async start({ folder, meterIds }) {
      const mosquitto = await startMosquitto(folder, queuedMax);
      const httpPort = await freePort();
      const env = {
        NODE_ENV: 'production',
        PEER_HTTP_PORT: String(httpPort),
        PEER_MQTT_PORT: String(mosquitto.port),
        PEER_VENDOR_URL: vendorUrl,
        PEER_TIMEOUT_MS: String(answerTimeoutMs),
      };
      const file = resolve(__dirname, '../peers/naive-injection.ts');
      const child = startChild(process.execPath, ['--require', 'tsx/cjs', file], { env });
      await child.says('listening');
      return {
        mqttPort: mosquitto.port,
        httpUrl: `http://127.0.0.1:${httpPort}`,
        pids: () => [child.pid, mosquitto.child.pid],
        logins: meterIds.map((meterId, index) => ({ meterId, clientId: numberOf(index) })),
        storesLater: false,
        crash: () => child.crash(),
        async stop() {
          await child.stop();
          await mosquitto.child.stop();
        },
      };
    },
  };
}

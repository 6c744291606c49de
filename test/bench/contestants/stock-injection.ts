import { cp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { freePort } from '../../support/ports.js';
import { answerTimeoutMs, numberOf } from '../injections/plan.js';
import { startChild } from './child.js';
import type { Contestant } from './contestant.js';
import { startMosquitto } from './mosquitto.js';

const peers = resolve(__dirname, '../peers');
const root = resolve(__dirname, '../../..');
const queuedMax = 100_000;

/** Tokens with what Node-RED brings: request and answer meet in a join node. */
export function stockInjection(vendorUrl: string): Contestant {
  return {
    name: 'stock flow',
    about:
      'Node-RED: http in → http request → join of request and answer by the meter, with a timeout → http response, ' +
      'mqtt in for all meters, on Mosquitto; no record of anything',
    async start({ folder, meterIds }) {
      const mosquitto = await startMosquitto(folder, queuedMax);
      const httpPort = await freePort();
      await cp(join(peers, 'injection-flows.json'), join(folder, 'flows.json'));
      await cp(join(peers, 'injection-settings.cjs'), join(folder, 'settings.cjs'));
      const nodeRed = createRequire(join(root, 'appliance/package.json')).resolve('node-red/red.js');
      const env = {
        NODE_ENV: 'production',
        PEER_HTTP_PORT: String(httpPort),
        PEER_MQTT_PORT: String(mosquitto.port),
        PEER_VENDOR_URL: vendorUrl,
        PEER_TIMEOUT_SECONDS: String(answerTimeoutMs / 1_000),
      };
      const args = [nodeRed, '-u', folder, '-s', join(folder, 'settings.cjs')];
      const child = startChild(process.execPath, args, { env });
      await child.says('Connected to broker');
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

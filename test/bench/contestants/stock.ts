import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../../support/ports.js';
import { startChild, type Child } from './child.js';
import type { Contestant } from './contestant.js';
import { startMosquitto } from './mosquitto.js';
import { createPeerTable } from './peer-table.js';

const peers = resolve(__dirname, '../peers');
const root = resolve(__dirname, '../../..');

/** What a Node-RED user builds first: three stock nodes on Mosquitto with its default queue. */
export const stock: Contestant = {
  name: 'stock flow',
  about: 'Node-RED: mqtt in → function → PostgreSQL node, on Mosquitto',
  async start({ databaseUrl, folder, meterIds }) {
    await createPeerTable(databaseUrl);
    const userDir = await installPeers();
    const mosquitto = await startMosquitto(folder, 1_000);
    const address = new URL(databaseUrl);
    const credentials = {
      f000000000000003: { user: address.username, password: decodeURIComponent(address.password) },
    };
    await cp(join(peers, 'flows.json'), join(userDir, 'flows.json'));
    await writeFile(join(userDir, 'flows_cred.json'), JSON.stringify(credentials), { mode: 0o600 });
    const nodeRed = createRequire(join(root, 'appliance/package.json')).resolve('node-red/red.js');
    const env = {
      NODE_ENV: 'production',
      PEER_HTTP_PORT: String(await freePort()),
      PEER_MQTT_PORT: String(mosquitto.port),
      PEER_PG_PORT: address.port,
      PEER_PG_DATABASE: address.pathname.slice(1),
    };
    const launch = async (): Promise<Child> => {
      const args = [nodeRed, '-u', userDir, '-s', join(userDir, 'settings.cjs')];
      const started = startChild(process.execPath, args, { env });
      await started.says('Connected to broker');
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

/** Once per version of its lockfile, into artifacts/, outside the product's own dependencies. */
async function installPeers(): Promise<string> {
  const lock = await readFile(join(peers, 'package-lock.json'));
  const version = createHash('sha256').update(lock).digest('hex').slice(0, 12);
  const folder = join(root, 'artifacts/bench', `peers-${version}`);
  await mkdir(folder, { recursive: true });
  for (const file of ['package.json', 'package-lock.json', 'settings.cjs']) {
    await cp(join(peers, file), join(folder, file));
  }
  const done = await readFile(join(folder, 'node_modules/.package-lock.json')).catch(() => undefined);
  if (done === undefined)
    await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder });
  return folder;
}

import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { eventually } from '../../support/eventually.js';
import { freePort } from '../../support/ports.js';
import type { TestNats } from '../../support/nats.js';
import { startChild, type Child } from '../contestants/child.js';
import { startMosquitto } from '../contestants/mosquitto.js';

/** Somebody else's way from MQTT to JetStream. */
export interface Bridge {
  readonly mqttPort: number;
  pids(): readonly number[];
  stop(): Promise<void>;
}

/** mqtt.js and the NATS library in one script, on Mosquitto with a queue for millions. */
export async function scriptBridge(folder: string, nats: TestNats): Promise<Bridge> {
  const mosquitto = await startMosquitto(folder, 5_000_000);
  const file = resolve(__dirname, '../peers/nats-script.ts');
  const env = {
    NODE_ENV: 'production',
    PEER_MQTT_PORT: String(mosquitto.port),
    PEER_NATS_URL: nats.url,
  };
  const child = startChild(process.execPath, ['--require', 'tsx/cjs', file], { env });
  await child.says('subscribed');
  return {
    mqttPort: mosquitto.port,
    pids: () => [child.pid, mosquitto.child.pid],
    async stop() {
      await child.stop();
      await mosquitto.child.stop();
    },
  };
}

/** Mosquitto's own bridge to the MQTT listener of nats-server; no code at all. */
export async function mosquittoBridge(folder: string, natsMqttPort: number): Promise<Bridge> {
  const port = await freePort();
  const file = join(folder, 'bridge.conf');
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence false',
    'set_tcp_nodelay true',
    'max_queued_messages 5000000',
    'max_inflight_messages 1000',
    'log_dest stderr',
    'connection nats',
    `address 127.0.0.1:${natsMqttPort}`,
    'topic # out 1',
    'bridge_protocol_version mqttv311',
    'cleansession false',
    'notifications false',
    'try_private false',
    'restart_timeout 1',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const path = `/usr/sbin:/usr/local/sbin:${process.env['PATH'] ?? ''}`;
  const child: Child = startChild('mosquitto', ['-c', file], { env: { PATH: path } });
  await child.says('running');
  await eventually(() => child.says('Connecting bridge'), { timeoutMs: 5_000 });
  return { mqttPort: port, pids: () => [child.pid], stop: () => child.stop() };
}

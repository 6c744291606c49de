import { connectAsync, type MqttClient } from 'mqtt';
import { openMqttLink, type MqttLink, type MqttLinkOptions } from '../../src/mqtt/link.js';
import type { DeviceEvent } from '../../src/events/device-event.js';
import { as, startTestBroker } from '../support/broker.js';
import { startMosquitto } from '../support/mosquitto.js';

/** Somebody who hears device events, as they come. */
export interface Heard {
  readonly topic: string;
  readonly text: string;
  readonly qos: number;
  readonly retain: boolean;
}

/** The brokers that events go through. */
export const brokers: readonly [
  name: string,
  start: () => Promise<{ port: number; stop(): Promise<unknown> }>,
][] = [
  [
    'the embedded broker',
    async () => {
      const { broker, port } = await startTestBroker();
      return { port, stop: () => broker.close({ drainMs: 0 }) };
    },
  ],
  [
    'Mosquitto',
    async () => {
      const mosquitto = await startMosquitto();
      return { port: mosquitto.port, stop: () => mosquitto.remove() };
    },
  ],
];

export function linkTo(port: number, more: Partial<MqttLinkOptions> = {}): MqttLink {
  const { user: username, password } = as('backend');
  const clientId = `publisher-${Math.random()}`;
  return openMqttLink({ host: '127.0.0.1', port, tls: false, clientId, username, password, ...more });
}

export async function listen(port: number, heard: Heard[]): Promise<MqttClient> {
  const { user, password } = as('backend');
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    username: user,
    password,
    clientId: `ears-${Math.random()}`,
    reconnectPeriod: 50,
  });
  client.on('message', (topic, payload, { qos, retain }) =>
    heard.push({ topic, text: payload.toString(), qos, retain }),
  );
  await client.subscribeAsync('energy/events/devices/#', { qos: 1 });
  return client;
}

export function eventOf({ text }: Heard): DeviceEvent {
  return JSON.parse(text) as DeviceEvent;
}

/** What each device went through, without what came again: a time that is not newer than the last tells nothing new. */
export function livesOf(heard: readonly Heard[]): Map<string, string[]> {
  const lives = new Map<string, string[]>();
  for (const one of heard) {
    const { device_id: id, timestamp } = eventOf(one);
    const life = lives.get(id) ?? [];
    if (timestamp > (life.at(-1) ?? '')) life.push(timestamp);
    lives.set(id, life);
  }
  return lives;
}

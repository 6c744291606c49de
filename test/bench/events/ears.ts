import { connectAsync } from 'mqtt';
import type { DeviceEvent } from '../../../src/events/device-event.js';

/** Who hears device events, and when. */
export interface EventEars {
  /** By the number of the change: when it was begun and first heard (Unix ms), its place among all, and how often. */
  readonly heard: ReadonlyMap<number, HeardChange>;
  /** Unix ms of the last message. */
  readonly lastAt: number;
  forget(): void;
  close(): Promise<void>;
}

export interface HeardChange {
  readonly begunAt: number;
  readonly at: number;
  readonly place: number;
  times: number;
}

export async function openEventEars(port: number): Promise<EventEars> {
  const heard = new Map<number, HeardChange>();
  let place = 0;
  let lastAt = 0;
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'ears', reconnectPeriod: 100 });
  client.on('message', (_topic, payload) => {
    const at = performance.timeOrigin + performance.now();
    const { name } = (JSON.parse(payload.toString()) as DeviceEvent).device_data;
    const [number, begunAt] = (name ?? '').split(' ').map(Number);
    if (number === undefined || begunAt === undefined || Number.isNaN(number)) return;
    lastAt = at;
    const before = heard.get(number);
    if (before === undefined) heard.set(number, { begunAt, at, place: place++, times: 1 });
    else before.times += 1;
  });
  await client.subscribeAsync('energy/events/devices/#', { qos: 1 });
  return {
    heard,
    get lastAt() {
      return lastAt;
    },
    forget() {
      heard.clear();
    },
    close: () => client.endAsync(true),
  };
}

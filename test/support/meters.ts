import assert from 'node:assert/strict';
import mqtt, { type MqttClient } from 'mqtt';

const quarterMs = 15 * 60_000;

export interface MeterAccess {
  readonly meterId: string;
  readonly user: string;
  readonly password: string;
}

/** Registers meters over HTTP, as an installer would. */
export async function registerMeters(
  httpPort: number,
  prefix: string,
  count: number,
): Promise<MeterAccess[]> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
  return Promise.all(names.map((meterId) => registerMeter(httpPort, meterId)));
}

export async function registerMeter(httpPort: number, meterId: string): Promise<MeterAccess> {
  const answer = await fetch(`http://127.0.0.1:${httpPort}/devices`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'meter', meter_id: meterId }),
  });
  assert.equal(answer.status, 200, `register ${meterId}`);
  const device = (await answer.json()) as { mqtt_user: string; mqtt_password: string };
  return { meterId, user: device.mqtt_user, password: device.mqtt_password };
}

/**
 * A meter that sends `count` quarter-hour readings of its last days at QoS 1, keeps what is not acknowledged, and sends
 * it again after a reconnect, as firmware does.
 */
export class SendingMeter {
  readonly acknowledged = new Set<number>();
  connects = 0;
  #ended = false;
  readonly #client: MqttClient;
  readonly #access: MeterAccess;

  constructor(access: MeterAccess, mqttPort: number, keepalive = 60) {
    this.#access = access;
    this.#client = mqtt.connect(`mqtt://127.0.0.1:${mqttPort}`, {
      username: access.user,
      password: access.password,
      clientId: access.user,
      clean: false,
      keepalive,
      reconnectPeriod: 200,
      connectTimeout: 20_000,
    });
    this.#client.on('connect', () => (this.connects += 1));
    this.#client.on('error', () => undefined);
  }

  /** Starts the publishes; each acknowledgement adds its time to `acknowledged`. Spread over `spreadMs`. */
  send(count: number, spreadMs: number): void {
    const newest = Math.floor(Date.now() / quarterMs) * quarterMs;
    for (let index = 0; index < count; index += 1) {
      const time = newest - (count - 1 - index) * quarterMs;
      setTimeout(() => this.#publish(time), (spreadMs * index) / count);
    }
  }

  #publish(time: number): void {
    const payload = JSON.stringify({ kwh_amount: 0.25, reading_timestamp: time });
    this.#client.publish(`meters/${this.#access.meterId}/readings`, payload, { qos: 1 }, (error) => {
      if (error === undefined || error === null) this.acknowledged.add(time);
      // The client gives up what it had queued when the connection broke early; firmware would not.
      else if (!this.#ended) setTimeout(() => this.#publish(time), 200);
    });
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#client.endAsync(true);
  }
}

/** Times (Unix ms) of every stored reading of a meter, through the public API. */
export async function storedTimes(httpPort: number, meterId: string): Promise<Set<number>> {
  const times = new Set<number>();
  for (let page = 1; ; page += 1) {
    const url = `http://127.0.0.1:${httpPort}/api/meters/${meterId}/readings?limit=100&page=${page}`;
    const answer = await fetch(url);
    assert.equal(answer.status, 200, await answer.clone().text());
    const list = (await answer.json()) as { data: { reading_timestamp: string }[]; total: number };
    for (const reading of list.data) times.add(Date.parse(reading.reading_timestamp));
    if (page * 100 >= list.total) return times;
  }
}

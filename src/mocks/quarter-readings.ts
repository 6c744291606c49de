import type { MqttClient } from 'mqtt';
import { canonicalString } from '../readings/signature.js';
import { energyOf, quarterEnd, quarterIndex, quartersEnded, type Load } from './load-profile.js';

export interface QuarterReading {
  readonly meter_id: string;
  readonly kwh_amount: number;
  readonly reading_timestamp: string;
  readonly device_signature?: string;
}

export interface QuarterReadings {
  /** Takes in the quarters that have ended, and sends what may be sent. */
  tick(now: number, client: MqttClient | undefined): void;
  /** The client was ended: what was under way goes over the next one. */
  ended(): void;
  /** Gives up what is not under way. */
  drop(): void;
  /** Not yet acknowledged. */
  readonly waiting: number;
  readonly underWay: number;
}

/** A meter has room for seven days: older readings would be refused anyway. */
const bufferMax = 7 * 96;
/** Readings under way at once: a small modem's window, and far below the broker's burst limit. */
const windowMax = 20;

/** [M-1]: one reading per quarter of an hour by the load profile, whatever the relay says; kept until acknowledged. */
export function createQuarterReadings(
  load: Load,
  options: {
    readonly startedAt: number;
    readonly backfillHours: number;
    readonly sign?: ((message: string) => string) | undefined;
    readonly acknowledged: (reading: QuarterReading) => void;
  },
): QuarterReadings {
  const { meterId } = load;
  /** Quarters to send, oldest first. */
  let buffer = quartersEnded(options.startedAt, options.backfillHours).slice(-bufferMax);
  let lastQuarter = quarterIndex(options.startedAt) - 1;
  const underWay = new Map<number, MqttClient>();

  function tick(now: number, client: MqttClient | undefined): void {
    const ended = quarterIndex(now) - 1;
    for (let quarter = lastQuarter + 1; quarter <= ended; quarter += 1) buffer.push(quarter);
    lastQuarter = Math.max(lastQuarter, ended);
    if (buffer.length > bufferMax) buffer.splice(0, buffer.length - bufferMax);
    if (client !== undefined) pump(client);
  }

  function pump(client: MqttClient): void {
    for (const quarter of buffer.splice(0, windowMax - underWay.size)) send(client, quarter);
  }

  /** The client itself sends again after a reconnect. */
  function send(client: MqttClient, quarter: number): void {
    const reading = readingOf(quarter);
    underWay.set(quarter, client);
    client.publish(`meters/${meterId}/readings`, JSON.stringify(reading), { qos: 1 }, (error) => {
      if (error || underWay.get(quarter) !== client) return;
      underWay.delete(quarter);
      options.acknowledged(reading);
      if (client.connected) pump(client);
    });
  }

  function readingOf(quarter: number): QuarterReading {
    const energy = energyOf(load, quarter);
    const time = quarterEnd(quarter);
    const signature = options.sign?.(canonicalString(meterId, energy, time));
    return {
      meter_id: meterId,
      kwh_amount: energy / 10_000,
      reading_timestamp: new Date(time).toISOString(),
      ...(signature === undefined ? {} : { device_signature: signature }),
    };
  }

  return {
    tick,
    ended() {
      buffer = [...underWay.keys(), ...buffer].sort((a, b) => a - b);
      underWay.clear();
    },
    drop() {
      buffer = [];
    },
    get waiting() {
      return buffer.length + underWay.size;
    },
    get underWay() {
      return underWay.size;
    },
  };
}

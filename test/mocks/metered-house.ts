import mqtt, { type MqttClient } from 'mqtt';
import {
  createVirtualMeter,
  type VirtualMeter,
  type VirtualMeterOptions,
} from '../../src/mocks/virtual-meter.js';
import { as, startTestBroker, type TestBroker } from '../support/broker.js';

export interface Said {
  readonly topic: string;
  readonly qos: number;
  readonly payload: Record<string, unknown>;
}

/** METER001 on our own broker, and beside it a back end that hears everything and commands balances. */
export interface MeteredHouse {
  readonly test: TestBroker;
  readonly backend: MqttClient;
  /** What the meter said on `smartmeter/METER001/…`, without that prefix. */
  readonly said: Said[];
  /** Timestamps of the balance commands that the broker has passed on. */
  readonly commanded: Set<number>;
  readonly log: string[];
  /** The meter's clock. It stands still unless moved. */
  time: number;
  meter(options?: Partial<VirtualMeterOptions>): VirtualMeter;
  command(balance: number, timestamp?: number): Promise<void>;
  of(topic: string): Record<string, unknown>[];
  close(): Promise<void>;
}

export const noon = Date.parse('2026-11-20T12:00:00Z');
const prefix = 'smartmeter/METER001/';

export async function startMeteredHouse(): Promise<MeteredHouse> {
  const test = await startTestBroker();
  test.sink.settling = true;
  const { user, password } = as('backend');
  const url = `mqtt://127.0.0.1:${test.port}`;
  const backend = await mqtt.connectAsync(url, { clientId: user, username: user, password });
  const meters: VirtualMeter[] = [];
  const house: MeteredHouse = {
    test,
    backend,
    said: [],
    commanded: new Set(),
    log: [],
    time: noon,
    meter(options = {}) {
      const meter = createVirtualMeter({
        meterId: 'METER001',
        deviceId: 'id-METER001',
        mqtt: { host: '127.0.0.1', port: test.port, username: 'METER001', password: as('METER001').password },
        seed: 1,
        backfillHours: 0,
        telemetrySeconds: 0,
        prepaid: { reportSeconds: 30, lowUnits: 10_000, mishaps: { lost: 0, doubled: 0 } },
        now: () => house.time,
        tickMs: 10,
        log: {
          debug: (line) => house.log.push(line),
          info: (line) => house.log.push(line),
          warn: (line) => house.log.push(line),
        },
        ...options,
      });
      meters.push(meter);
      meter.start();
      return meter;
    },
    async command(balance, timestamp = house.time) {
      await backend.publishAsync(`${prefix}command/balance`, JSON.stringify({ balance, timestamp }), {
        qos: 1,
      });
    },
    of: (topic) => house.said.filter((one) => one.topic === topic).map(({ payload }) => payload),
    async close() {
      await Promise.all(meters.map((meter) => meter.stop()));
      await backend.endAsync(true);
      await test.broker.close({ drainMs: 0 });
    },
  };
  backend.on('message', (topic, payload, { qos }) => {
    const said = JSON.parse(payload.toString()) as Record<string, unknown>;
    if (topic === `${prefix}command/balance`) house.commanded.add(Number(said['timestamp']));
    else house.said.push({ topic: topic.replace(prefix, ''), qos, payload: said });
  });
  await backend.subscribeAsync(['smartmeter/+/#', 'devices/+/#'], { qos: 1 });
  return house;
}

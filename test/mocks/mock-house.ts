import mqtt, { type MqttClient } from 'mqtt';
import { backendAccount, ensureAccount } from '../../src/devices/accounts.js';
import type { BrokerOptions } from '../../src/broker/options.js';
import { createDirectory, type Directory } from '../../src/devices/principals.js';
import { createRegistry, type Registry } from '../../src/devices/registry.js';
import { createMockSync, type MockSync, type MockSyncOptions } from '../../src/mocks/mock-sync.js';
import type { MockChange } from '../../src/mocks/mock-changes-store.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

export const caller = { name: 'test' };

/** A registry, the real broker, a publisher of events by hand, and mock worlds. */
export interface MockHouse {
  readonly test: TestDatabase;
  readonly broker: TestBroker;
  readonly registry: Registry;
  readonly changes: MockChange[];
  readonly lines: string[];
  world(options?: Partial<MockSyncOptions>): MockSync;
  /** Publishes events as they are; resolves when the broker has acknowledged them. */
  publish(events: readonly object[]): Promise<void>;
  /** What the log of the registry has of these devices, in order; of all without an id. */
  logged(id?: string): Promise<Record<string, unknown>[]>;
  rows(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]>;
  /** id, name, type of the mocks in the registry. */
  mocks(): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

export async function startMockHouse(more: Partial<BrokerOptions> = {}): Promise<MockHouse> {
  const test = await createTestDatabase();
  const directory: Directory = createDirectory(test.database);
  await ensureAccount(test.database, backendAccount, 'secret of backend', { name: 'test', address: null });
  const broker = await startTestBroker({}, { directory, ...more });
  broker.sink.settling = true;
  const registry = createRegistry(test.database);
  const worlds: MockSync[] = [];
  const changes: MockChange[] = [];
  const lines: string[] = [];
  let publisher: MqttClient | undefined;
  const say = (line: string): void => void lines.push(line);

  async function rows(text: string, ...values: unknown[]): Promise<Record<string, unknown>[]> {
    return (await test.database.query<Record<string, unknown>>({ text, values })).rows;
  }

  return {
    test,
    broker,
    registry,
    changes,
    lines,
    world(options = {}) {
      const world = createMockSync({
        database: test.database,
        broker: {
          host: '127.0.0.1',
          port: broker.port,
          tls: false,
          trust: undefined,
          clientId: 'test',
          username: 'backend',
          password: 'secret of backend',
        },
        instance: 'one',
        seed: 1,
        telemetrySeconds: 1,
        log: { debug: say, info: say, warn: say },
        onChanges: (some) => changes.push(...some),
        ...options,
      });
      worlds.push(world);
      world.start();
      return world;
    },
    async publish(events) {
      if (publisher === undefined) {
        publisher = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
          username: 'backend',
          password: 'secret of backend',
          clientId: 'publisher',
        });
      }
      const client = publisher;
      await Promise.all(
        events.map((event) => {
          const { event_type, device_id } = event as Record<string, string>;
          return client.publishAsync(
            `energy/events/devices/${device_id}/${event_type}`,
            JSON.stringify(event),
            { qos: 1 },
          );
        }),
      );
    },
    logged: (id) =>
      rows(
        `select event_type, device_id, device_data,
                to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as timestamp
           from device_events where $1::text is null or device_id = $1 order by id`,
        id ?? null,
      ),
    rows,
    mocks: () => rows(`select id, name, type from devices where mock order by id`),
    async close() {
      await Promise.all(worlds.map((world) => world.stop(false)));
      await publisher?.endAsync(true);
      await broker.broker.close({ drainMs: 0 });
      await directory.close();
      await test.drop();
    },
  };
}

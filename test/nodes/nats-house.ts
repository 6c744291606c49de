import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { createRegistry } from '../../src/devices/registry.js';
import { closeForwarder } from '../../src/forward/runtime.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startNats, type TestNats } from '../support/nats.js';
import { freePort } from '../support/ports.js';
import { startFlow, stopFlow, type RunningFlow } from './flow.js';

/** Broker, stores and forwarder as the shipped flows wire them, with a real PostgreSQL and a real NATS. */
export interface NatsHouse {
  readonly test: TestDatabase;
  readonly nats: TestNats;
  readonly port: number;
  readonly device: { readonly id: string; readonly meter_id: string };
  start(node?: object, credentials?: object, databaseUrl?: string): Promise<RunningFlow>;
  connect(options?: IClientOptions): Promise<MqttClient>;
  /** The flow, its broker and its forwarder; database and NATS stay. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

export async function natsHouse(config?: (folder: string) => string): Promise<NatsHouse> {
  const test = await createTestDatabase();
  const nats = await startNats(config);
  const port = await freePort();
  const { device, mqtt_password: password } = await createRegistry(test.database).create(
    { type: 'meter', meter_id: 'METER001' },
    { name: 'test', address: null },
  );
  let clients: MqttClient[] = [];

  async function stop(): Promise<void> {
    await Promise.all(clients.map((client) => client.endAsync(true)));
    clients = [];
    await stopFlow();
    await closeForwarder();
  }

  return {
    test,
    nats,
    port,
    device: { id: device.id, meter_id: 'METER001' },
    start: (node, credentials = {}, databaseUrl = test.url) =>
      startFlow(
        [
          ...flow(databaseUrl, port),
          {
            id: 'nats',
            type: 'nats-forward',
            database: 'db',
            url: nats.url,
            instance: 'one',
            wires: [['forwarded'], ['dropped']],
            ...node,
          },
        ],
        { nats: credentials },
      ),
    async connect(options = {}) {
      const client = await eventually(() =>
        connectAsync({
          host: '127.0.0.1',
          port,
          username: 'METER001',
          password,
          clientId: 'METER001',
          clean: false,
          reconnectPeriod: 50,
          ...options,
        }),
      );
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    stop,
    async remove() {
      await stop();
      await nats.remove();
      await test.drop();
    },
  };
}

function flow(url: string, port: number): Parameters<typeof startFlow>[0][number][] {
  return [
    { id: 'db', type: 'meter-database', url, connectionsMax: '4' },
    {
      id: 'broker',
      type: 'meter-auth-broker',
      database: 'db',
      host: '127.0.0.1',
      port: String(port),
      ratePerSecond: '1000000',
      burst: '1000000',
      flowDeadlineSeconds: '15',
      wires: [['validator'], ['balances'], ['sessions']],
    },
    { id: 'validator', type: 'reading-validator', schema: '', wires: [['store'], ['quarantine']] },
    {
      id: 'store',
      type: 'reading-store',
      database: 'db',
      spacingSeconds: '1',
      wires: [[], [], ['quarantine']],
    },
    {
      id: 'balances',
      type: 'balance-sync',
      database: 'db',
      wires: [[], [], ['quarantine'], ['messages'], [], [], []],
    },
    { id: 'messages', type: 'message-store', database: 'db', wires: [[]] },
    { id: 'quarantine', type: 'message-quarantine', database: 'db', wires: [[]] },
    { id: 'sessions', type: 'helper' },
    { id: 'forwarded', type: 'helper' },
    { id: 'dropped', type: 'helper' },
  ];
}

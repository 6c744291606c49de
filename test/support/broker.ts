import type { DevicePrincipal } from '../../src/devices/access.js';
import { type Broker, type BrokerOptions, startBroker } from '../../src/broker/broker.js';
import type { Delivery, SessionEvent } from '../../src/broker/delivery.js';
import { deliveries } from '../../src/broker/deliveries.js';
import { type MemoryDirectory, createMemoryDirectory } from '../../src/broker/memory-directory.js';
import type { BrokerSink } from '../../src/broker/options.js';

/** A sink that keeps what it gets, and settles it at once when asked to. */
export class KeepingSink implements BrokerSink {
  readonly deliveries: Delivery[] = [];
  readonly batches: { output: 'readings' | 'messages'; size: number }[] = [];
  readonly events: SessionEvent[] = [];
  settling = false;

  readings(batch: Delivery[]): void {
    this.take('readings', batch);
  }

  messages(batch: Delivery[]): void {
    this.take('messages', batch);
  }

  sessions(events: SessionEvent[]): void {
    this.events.push(...events);
  }

  settleAll(): void {
    for (const { delivery } of this.deliveries) deliveries.settle(delivery);
  }

  of(event: SessionEvent['event']): SessionEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  private take(output: 'readings' | 'messages', batch: Delivery[]): void {
    this.batches.push({ output, size: batch.length });
    this.deliveries.push(...batch);
    if (this.settling) for (const { delivery } of batch) deliveries.settle(delivery);
  }
}

export interface TestBroker {
  readonly broker: Broker;
  readonly port: number;
  readonly directory: MemoryDirectory;
  readonly sink: KeepingSink;
}

/** The real broker with METER001, METER002 and the account `backend`, without a database. */
export async function startTestBroker(
  limits: BrokerOptions['limits'] = {},
  more: Partial<BrokerOptions> = {},
): Promise<TestBroker> {
  const directory = testDirectory();
  const sink = new KeepingSink();
  const broker = await startBroker({ host: '127.0.0.1', port: 0, directory, sink, limits, ...more });
  return { broker, port: broker.port, directory, sink };
}

export function testDirectory(): MemoryDirectory {
  const directory = createMemoryDirectory();
  for (const name of ['METER001', 'METER002']) directory.add(device(name), `secret of ${name}`);
  directory.add(
    {
      kind: 'account',
      user: 'backend',
      may_read: ['smartmeter/+/#', 'meters/+/#', 'devices/+/#', 'energy/events/#'],
      may_write: [
        'smartmeter/+/command/#',
        'meters/+/command/#',
        'devices/+/command/#',
        'energy/events/devices/#',
      ],
    },
    'secret of backend',
  );
  return directory;
}

export function device(name: string, drn: string | null = null): DevicePrincipal {
  return {
    kind: 'device',
    user: name,
    device_id: `id-${name}`,
    meter_id: name,
    drn,
    user_id: null,
    mock: false,
  };
}

/** Login of a device or account of the test directory. */
export function as(user: string, id = user): { id: string; user: string; password: string } {
  return { id, user, password: `secret of ${user}` };
}

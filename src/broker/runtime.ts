import { DomainError } from '../errors.js';
import { startBroker } from './broker.js';
import type { Broker, BrokerOptions } from './options.js';

interface Running {
  /** host:port of each listener. */
  readonly addresses: readonly string[];
  readonly broker: Promise<Broker>;
  users: number;
  /** Runs while nobody uses it. */
  linger: NodeJS.Timeout | null;
}

/** The brokers of this process. They outlive the nodes that use them: a redeploy keeps the meters' sockets. */
const running = new Map<string, Running>();

/**
 * The broker of `key` (everything in the configuration that needs a new broker when it changes): the one that is
 * still there from before a redeploy, which goes on with the new flow, or a new one.
 */
export async function acquireBroker(key: string, options: BrokerOptions): Promise<Broker> {
  const present = running.get(key);
  if (present !== undefined) {
    if (present.users > 0) {
      const places = present.addresses.join(', ');
      throw new DomainError('CONFIGURATION', `Another broker node already listens on ${places}`);
    }
    present.users++;
    if (present.linger !== null) clearTimeout(present.linger);
    present.linger = null;
    const broker = await present.broker;
    broker.resume(options);
    return broker;
  }
  const addresses = addressesOf(options);
  // The same port with other limits: the one that lingers has to leave first.
  for (const [otherKey, other] of running) {
    const meets = other.addresses.some((address) => addresses.includes(address));
    if (meets && other.users === 0) await closeNow(otherKey, other);
  }
  const entry: Running = { addresses, broker: startBroker(options), users: 1, linger: null };
  running.set(key, entry);
  try {
    return await entry.broker;
  } catch (error) {
    if (running.get(key) === entry) running.delete(key);
    throw error;
  }
}

/**
 * The flow goes away. Sockets stay, nothing new is taken, commits under way are still acknowledged. Without another
 * acquire within `lingerMs` the broker closes.
 */
export async function releaseBroker(key: string, { lingerMs = 10_000 } = {}): Promise<void> {
  const entry = running.get(key);
  if (entry === undefined || entry.users === 0) return;
  entry.users = 0;
  const broker = await entry.broker.catch(() => null);
  // Acquired again, or closed, in the meantime.
  if (broker === null || entry.users > 0 || running.get(key) !== entry) return;
  broker.pause();
  if (lingerMs <= 0) return closeNow(key, entry);
  entry.linger = setTimeout(() => void closeNow(key, entry), lingerMs);
}

/** For the end of the process; what is in flight has `drainMs` to be settled. */
export async function closeAllBrokers({ drainMs = 3_000 } = {}): Promise<void> {
  await Promise.all([...running].map(([key, entry]) => closeNow(key, entry, drainMs)));
}

function addressesOf({ host, port, tls, webSocketPort }: BrokerOptions): string[] {
  return [port, tls?.port, webSocketPort]
    .filter((one) => one !== null && one !== undefined)
    .map((one) => `${host}:${one}`);
}

async function closeNow(key: string, entry: Running, drainMs = 3_000): Promise<void> {
  if (entry.linger !== null) clearTimeout(entry.linger);
  entry.linger = null;
  if (running.get(key) === entry) running.delete(key);
  const broker = await entry.broker.catch(() => null);
  await broker?.close({ drainMs });
}

import { deliveries } from '../src/broker/deliveries.js';
import type { Broker, BrokerOptions, BrokerSink } from '../src/broker/options.js';
import { acquireBroker, releaseBroker } from '../src/broker/runtime.js';
import type { Database } from '../src/database/database.js';
import type { Host } from './define-node.js';
import type { Deploys } from './deploys.js';

const everyMs = 1000;
/** A commit takes milliseconds; a hold this long has a cause that people should see. */
const heldLongMs = 3000;

/** The broker for one node, shown once a second. Comes up with the flow; closing lets the sockets wait for the next. */
export function runBroker(
  host: Host<keyof BrokerSink>,
  database: Database,
  options: BrokerOptions,
): Deploys & { close(): Promise<void> } {
  // Other settings need another broker; the same ones go on with the sockets from before the redeploy.
  const key = JSON.stringify([
    host.node.id,
    options.host,
    options.port,
    options.tls,
    options.webSocketPort,
    options.deviceCertificates,
    options.limits,
  ]);
  let broker: Broker | undefined;
  let coming: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let flowIsAway = false;
  host.status('busy', `${options.port ?? options.tls?.port} · starting`);

  async function bringUp(): Promise<void> {
    try {
      broker = await acquireBroker(key, options);
      if (flowIsAway) broker.pause();
      if (!closed) timer = showEverySecond(host, broker, database);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      host.node.error(error instanceof Error ? error : reason);
      host.status('error', reason);
    }
  }

  return {
    stopping() {
      flowIsAway = true;
      broker?.pause();
    },
    started() {
      flowIsAway = false;
      broker?.resume(options);
      coming ??= bringUp();
    },
    async close() {
      closed = true;
      clearInterval(timer);
      if (coming === undefined) return;
      await coming;
      await releaseBroker(key);
    },
  };
}

function showEverySecond(host: Host<keyof BrokerSink>, broker: Broker, database: Database): NodeJS.Timeout {
  let { received } = broker.stats();
  const show = (): void => {
    const now = broker.stats().received;
    showBroker(host, broker, database, now - received);
    received = now;
  };
  show();
  return setInterval(show, everyMs).unref();
}

function showBroker(
  host: Host<keyof BrokerSink>,
  broker: Broker,
  database: Database,
  perSecond: number,
): void {
  const { clients, inflight, givenUp, saturated, certificateProblem } = broker.stats();
  const held = deliveries.stats().heldOldestMs;
  const place = `${portsOf(broker)} · ${count(clients)} ${clients === 1 ? 'client' : 'clients'}`;
  if (database.state === 'down') {
    host.status('warning', `${place} · database away${inflight > 0 ? `, ${count(inflight)} held` : ''}`);
  } else if (held > heldLongMs)
    host.status('warning', `${place} · ${count(inflight)} held for ${Math.round(held / 1000)} s`);
  else if (saturated) host.status('warning', `${place} · full: ${count(inflight)} in flight`);
  else if (certificateProblem !== null)
    host.status('warning', `${place} · old certificate: ${certificateProblem}`);
  else {
    const lost = givenUp > 0 ? ` · ${count(givenUp)} given up` : '';
    host.status('ok', `${place} · ${count(perSecond)}/s · ${count(inflight)} in flight${lost}`);
  }
}

/** `1883, 8883 TLS, 9001 WebSocket` */
function portsOf({ ports }: Broker): string {
  const { mqtt, mqtts, ws } = ports;
  return [mqtt, mqtts === null ? null : `${mqtts} TLS`, ws === null ? null : `${ws} WebSocket`]
    .filter((port) => port !== null)
    .join(', ');
}

function count(number: number): string {
  return number.toLocaleString('en');
}

import { mayPublish, maySubscribe } from '../devices/access.js';
import { metrics } from '../operation/metrics.js';
import { Acceptance } from './acceptance.js';
import { AckWriter } from './ack-writer.js';
import { createEngine, type Engine } from './aedes-engine.js';
import { Batches } from './batches.js';
import { Clients } from './clients.js';
import { elapsedMs } from './clock.js';
import type { ConnectionHost } from './connection-host.js';
import { Connection } from './connection.js';
import { Counters } from './counters.js';
import { deliveries } from './deliveries.js';
import { DeviceIngest } from './device-ingest.js';
import { Forwarding } from './forwarding.js';
import { Interest } from './interest.js';
import { defaultLimits } from './limits.js';
import { openListeners } from './listeners.js';
import { LoginThrottle } from './login-throttle.js';
import type { Broker, BrokerFlow, BrokerOptions } from './options.js';
import { Rates } from './rate.js';
import { Reception } from './reception.js';
import { RetainedQuota } from './retained.js';
import { Rights } from './rights.js';
import { SessionLog } from './session-log.js';
import { Sessions } from './sessions.js';
import { WaitingRoom } from './waiting-room.js';
import { acceptWill } from './wills.js';

export type * from './options.js';

const SWEEP_MS = 500;
const STALL_MS = 2_500;

/** Starts the broker; rejects with BROKER_UNAVAILABLE when it cannot listen. Composition only: the parts do the work. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const limits = { ...defaultLimits, ...options.limits };
  const access = options.access ?? { mayPublish, maySubscribe };
  const log = options.log ?? { info() {}, warn() {} };
  let flow: BrokerFlow = options;
  let closing = false;

  const batches = new Batches(
    options.sink,
    options.batch?.sizeMax ?? 1_000,
    options.batch?.delayMs ?? 5,
    (error) => log.warn('The flow threw while taking a batch', { error: String(error) }),
  );
  const clients = new Clients();
  const counters = new Counters();
  const interest = new Interest();
  const waitingRoom = new WaitingRoom();
  const ackWriter = new AckWriter(counters);
  const sessionLog = new SessionLog(batches, log);
  const throttle = new LoginThrottle(limits.loginRefusalsPerSecond, (address) =>
    log.warn('MQTT logins of an address are throttled: too many are refused', { address }),
  );
  const rates = new Rates(limits.ratePerSecond, limits.burst);
  const rights = new Rights(clients, access);
  const acceptance = new Acceptance(limits, {
    ingest: () => ingest,
    flow: () => flow,
    onGateOpen: () => waitingRoom.admit(),
    log,
  });
  const sessions = new Sessions(limits.storedSessionsMax, (clientId) => {
    interest.removeClient(clientId);
    void engine.dropStored(clientId);
  });

  const engine: Engine = await createEngine({
    access,
    limits,
    welcomed(connection) {
      if (connection.clean) interest.removeClient(connection.clientId);
      sessionLog.connected(connection);
      connection.open();
    },
    gone: (connection) => connection.departure.over(),
    will(connection, packet, done) {
      if (connection.principal?.kind !== 'device' || closing) return done(new Error('no will'));
      const payload = Buffer.from(packet.payload);
      if (packet.retain && !retained.admit(connection.principal.device_id, packet.topic, payload.length)) {
        packet.retain = false;
      }
      acceptWill(
        connection.principal,
        { topic: packet.topic, payload, qos: packet.qos },
        acceptance,
        batches,
        done,
      );
    },
    denied: (connection, what, topic) => sessionLog.denied(connection, what, topic),
    subscribed(connection, filter) {
      // A device may subscribe to its commands only.
      if (connection.principal?.kind === 'device') sessionLog.subscribed(connection, filter);
      else if (connection.principal?.kind === 'account') interest.add(connection.clientId, filter);
    },
    unsubscribed: (connection, filter) => interest.remove(connection.clientId, filter),
  });
  const retained = new RetainedQuota(limits.retainedTopicsMax, limits.retainedBytesMax);
  const forwarding = new Forwarding(engine, interest, retained);
  const reception = new Reception(
    {
      clients,
      sessions,
      rates,
      throttle,
      access,
      deviceCertificates: options.deviceCertificates,
      log: sessionLog,
      engine: () => engine,
    },
    options.directory,
  );
  const ingest = new DeviceIngest(
    {
      get isGateOpen() {
        return acceptance.isGateOpen;
      },
      received2Max: limits.received2Max,
      throttled: (connection) => waitingRoom.throttle(connection),
      publishDenied(connection, topic) {
        sessionLog.denied(connection, 'publish', topic);
        connection.close('publish denied');
      },
      forward: (delivery, retain) => forwarding.forward(delivery, retain),
    },
    acceptance,
    batches,
  );
  const connectionHost: ConnectionHost = {
    limits,
    counterOf: (label) => counters.of(label),
    admit: (connection, connect) => void reception.receive(connection, connect),
    publish: (connection, buffer, head, start, end) => ingest.publish(connection, buffer, head, start, end),
    release: (connection, packetId) => ingest.release(connection, packetId),
    stalled: (connection) => waitingRoom.stall(connection),
    throttled: (connection) => waitingRoom.throttle(connection),
    ready: (connection) => ackWriter.add(connection),
    closed(connection, reason, saidNothing) {
      clients.leave(connection);
      waitingRoom.leave(connection);
      counters.published(connection.outbound.published);
      if (connection.session !== null) sessions.leave(connection.session, connection);
      if (connection.clean && connection.session !== null) interest.removeClient(connection.clientId);
      if (connection.wasOpen) sessionLog.disconnected(connection, reason);
      else if (!closing && !saidNothing) {
        sessionLog.refused(connection, reason);
        if (!connection.isJudged) throttle.refused(connection.address, elapsedMs());
      }
    },
  };

  const listeners = await openListeners(options, {
    log,
    connectionsMax: limits.connectionsMax,
    packetBytesMax: limits.packetBytesMax,
    mayOpen(address) {
      const isFree = throttle.mayOpen(address, elapsedMs());
      if (!isFree) metrics.mqttRefused.inc({ what: 'connection', reason: 'address throttled' });
      return isFree;
    },
    take: (arrival) => clients.add(new Connection(arrival, connectionHost)),
    refused(address, reason) {
      sessionLog.turnedAway(address, reason);
      throttle.refused(address, elapsedMs());
    },
  }).catch(async (error: unknown) => {
    await engine.close(); // its heartbeat would go on
    throw error;
  });
  rights.watch(options.directory);

  let lastSweep = elapsedMs();
  const sweepTimer = setInterval(() => {
    const now = elapsedMs();
    const stalled = now - lastSweep > STALL_MS;
    lastSweep = now;
    counters.publish(acceptance.inflight, clients);
    // After a stall of this process everybody's packets still wait to be read, and the flow's messages to be handled.
    if (stalled) return;
    clients.sweep(now, limits.connectTimeoutMs);
    deliveries.sweep(acceptance, now);
    throttle.sweep(now);
    rates.sweep(now, (user) => clients.isConnected(user));
  }, SWEEP_MS);

  return {
    host: options.host,
    port: listeners.ports.mqtt ?? listeners.ports.mqtts ?? 0,
    ports: listeners.ports,
    stats: () => ({
      clients: clients.open,
      inflight: acceptance.inflight.count,
      inflightBytes: acceptance.inflight.bytes,
      givenUp: acceptance.givenUp,
      received: counters.received,
      saturated: acceptance.inflight.saturated,
      paused: acceptance.waiting,
      throttled: waitingRoom.throttledCount,
      certificateProblem: listeners.certificateProblem,
    }),
    pause() {
      batches.detach();
      acceptance.waiting = true;
      reception.pause();
    },
    resume(next) {
      flow = next;
      batches.attach(next.sink, acceptance.resume());
      rights.watch(next.directory);
      reception.resume(next.directory);
      waitingRoom.admit();
    },
    closeSessions(mqttUser, reason = 'revoked') {
      for (const connection of clients.of(mqttUser)) connection.close(reason);
    },
    publish: ({ topic, payload, qos = 0, retain = false }) => engine.publish({ topic, payload, qos, retain }),
    async close({ drainMs = 5_000 } = {}) {
      if (closing) return;
      closing = true;
      rights.close();
      const closed = listeners.close();
      batches.flush();
      const flowIsAway = acceptance.waiting;
      acceptance.waiting = true;
      await acceptance.drained(drainMs, flowIsAway);
      ackWriter.flush();
      for (const connection of clients) {
        engine.withoutWill(connection);
        connection.finish('shutdown');
      }
      batches.flush();
      await engine.close();
      clearInterval(sweepTimer);
      waitingRoom.close();
      deliveries.forget(acceptance);
      counters.publish(acceptance.inflight, clients);
      await clients.cutOff(1_000);
      listeners.cutOff();
      await closed;
    },
  };
}

import { metrics } from '../operation/metrics.js';
import { elapsedMs } from './clock.js';
import type { Batches } from './batches.js';
import type { Connection } from './connection.js';
import type { SessionEvent } from './delivery.js';
import type { BrokerLog } from './options.js';

/** Ends that are nobody's fault; all others count as connection errors. */
const ORDINARY = new Set(['disconnect', 'connection lost', 'taken over', 'shutdown', 'closed', 'revoked']);
/** Client ids remembered to tell a reconnect from a first connect. */
const SEEN_MAX = 50_000;

/** Tells flow, metrics and log what happens to sessions. Every refusal is counted, with address and reason ([S-2]). */
export class SessionLog {
  private readonly seen = new Set<string>();

  constructor(
    private readonly batches: Batches,
    private readonly log: BrokerLog,
  ) {}

  connected(connection: Connection): void {
    metrics.mqttClients.inc();
    if (this.seen.has(connection.clientId)) metrics.mqttReconnects.inc();
    else if (this.seen.size < SEEN_MAX) this.seen.add(connection.clientId);
    this.tell('connected', connection, null);
  }

  disconnected(connection: Connection, reason: string): void {
    metrics.mqttClients.dec();
    metrics.mqttConnectionSeconds.observe((elapsedMs() - connection.openedAt) / 1000);
    if (!ORDINARY.has(reason)) metrics.mqttConnectionErrors.inc();
    this.tell('disconnected', connection, reason);
  }

  /** The login was refused, or the socket ended before one. */
  refused(connection: Connection, reason: string): void {
    metrics.mqttConnectionErrors.inc();
    metrics.mqttRefused.inc({ what: 'login', reason });
    this.log.warn('MQTT login refused', { ...about(connection), reason });
    this.tell('refused', connection, reason);
  }

  /** A socket that did not get as far as MQTT: TLS, or a certificate. */
  turnedAway(address: string, reason: string): void {
    metrics.mqttConnectionErrors.inc();
    metrics.mqttRefused.inc({ what: 'connection', reason });
    this.log.warn('MQTT connection refused', { address, reason });
  }

  denied(connection: Connection, what: 'publish' | 'subscribe', topic: string): void {
    const reason = `${what} denied`;
    metrics.mqttRefused.inc({ what, reason });
    this.log.warn(`MQTT ${reason}`, { ...about(connection), topic });
    this.tell('refused', connection, reason);
  }

  /** Somebody can hear a device's commands from now on, so what waits for it may be sent. */
  subscribed(connection: Connection, filter: string): void {
    this.tell('subscribed', connection, null, filter);
  }

  private tell(
    event: SessionEvent['event'],
    connection: Connection,
    reason: string | null,
    filter?: string,
  ): void {
    const { principal } = connection;
    const isDevice = principal?.kind === 'device';
    this.batches.session({
      event,
      kind: principal?.kind ?? 'unknown',
      client_id: connection.clientId,
      mqtt_user: principal?.user ?? connection.claimedUser,
      device_id: isDevice ? principal.device_id : null,
      meter_id: isDevice ? principal.meter_id : null,
      address: connection.address,
      reason,
      ...(filter === undefined ? {} : { filter }),
      at: Date.now(),
    });
  }
}

function about(connection: Connection): object {
  return {
    address: connection.address,
    client_id: connection.clientId,
    mqtt_user: connection.principal?.user ?? connection.claimedUser,
    ...(connection.certificate === null ? {} : { certificate: connection.certificate.names }),
  };
}

import type { Principal } from '../devices/access.js';
import type { CertificateFiles } from './certificates.js';
import type { Delivery, SessionEvent } from './delivery.js';
import type { Directory } from './directory.js';
import type { BrokerLimits } from './limits.js';

/** Where the broker's batches go; called synchronously, must not throw. */
export interface BrokerSink {
  /** Deliveries on meters/{m}/readings and readings.pb. */
  readings(batch: Delivery[]): void;
  /** Everything else that a device published. */
  messages(batch: Delivery[]): void;
  sessions(events: SessionEvent[]): void;
}

/** What is exchanged when a redeploy brings new nodes while the broker and its sockets stay. */
export interface BrokerFlow {
  readonly sink: BrokerSink;
  readonly directory: Directory;
  /** Keeps a message that three times no flow settled (FLOW_UNSETTLED); it is acknowledged when this resolves. */
  readonly unsettled?: (delivery: Delivery) => Promise<void>;
}

export interface BrokerOptions extends BrokerFlow {
  readonly host: string;
  /** 0 chooses a free one; see `Broker.ports`. Null: no plain MQTT, and MQTT over WebSocket is encrypted, too. */
  readonly port: number | null;
  /** MQTTS. With a CA, a client's certificate says which device it is. */
  readonly tls?: BrokerTls | undefined;
  readonly webSocketPort?: number | undefined;
  /** `required`: a device without a certificate is refused, whatever its password. */
  readonly deviceCertificates?: 'optional' | 'required' | undefined;
  readonly limits?: Partial<BrokerLimits>;
  /** A batch leaves when it has `sizeMax` messages, or `delayMs` after the one before. */
  readonly batch?: { readonly sizeMax?: number; readonly delayMs?: number };
  /** Rights; the default is src/devices/access.ts. */
  readonly access?: BrokerAccess;
  readonly log?: BrokerLog;
}

export interface BrokerTls extends CertificateFiles {
  readonly port: number;
}

/** Null: not open. */
export interface BrokerPorts {
  readonly mqtt: number | null;
  readonly mqtts: number | null;
  readonly ws: number | null;
}

export interface BrokerAccess {
  mayPublish(principal: Principal, topic: string): boolean;
  maySubscribe(principal: Principal, filter: string): boolean;
}

export interface BrokerLog {
  info(message: string, details?: object): void;
  warn(message: string, details?: object): void;
}

export interface BrokerStats {
  readonly clients: number;
  readonly inflight: number;
  readonly inflightBytes: number;
  readonly givenUp: number;
  /** Device messages received since the start. */
  readonly received: number;
  /** True while the bound on what is in flight keeps sockets unread. */
  readonly saturated: boolean;
  readonly paused: boolean;
  /** Clients that are read more slowly because of their rate. */
  readonly throttled: number;
  /** Why the certificate files, as they are now, are not in force. */
  readonly certificateProblem: string | null;
}

export interface Broker {
  readonly host: string;
  /** Of plain MQTT; without it, of MQTTS. */
  readonly port: number;
  readonly ports: BrokerPorts;
  stats(): BrokerStats;
  /**
   * The flow goes away (Deploy): nothing is sent into it, no socket is read, none is closed, no deadline runs; commits
   * under way are still acknowledged.
   */
  pause(): void;
  /** The flow, or the next one, is there: what no store holds is offered to it, then the sockets are read. */
  resume(flow: BrokerFlow): void;
  /** Closes every session of a user at once. */
  closeSessions(mqttUser: string, reason?: string): void;
  publish(message: {
    readonly topic: string;
    readonly payload: string | Buffer;
    readonly qos?: 0 | 1 | 2;
    readonly retain?: boolean;
  }): Promise<void>;
  /** Stops listening, waits up to `drainMs` for what is in flight, acknowledges it and closes. */
  close(options?: { readonly drainMs?: number }): Promise<void>;
}

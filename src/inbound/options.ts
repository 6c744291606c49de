import type { Delivery } from '../broker/delivery.js';
import type { BrokerLog } from '../broker/options.js';
import type { DeviceNames } from '../devices/names.js';
import type { Rejection } from '../readings/reading.js';
import type { Trust } from '../mqtt/trust.js';

/** Where the external broker is, and who we are there. */
export interface InboundAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** With TLS; without it the public authorities are trusted. */
  readonly trust?: Trust | undefined;
  /** Names the session that the broker keeps for us: stable over restarts, another one for each instance. */
  readonly clientId: string;
  /** '' when the broker asks for none. */
  readonly username: string;
  readonly password: string;
}

/** Where batches go; called synchronously. */
export interface InboundSink {
  readings(batch: Delivery[]): void;
  messages(batch: Delivery[]): void;
  /** Messages on topics that name no device; settled once they are in quarantine. */
  rejected(batch: Rejection[]): void;
}

export interface InboundLimits {
  /** Messages that wait for the database; the broker sends no more (MQTT 5), or its socket is not read (3.1.1). */
  readonly inflightMax: number;
  /** How long a delivery may wait until a store holds it. */
  readonly flowDeadlineMs: number;
  /** How long the broker keeps our session while we are away (MQTT 5). */
  readonly sessionSeconds: number;
}

export const defaultInboundLimits: InboundLimits = {
  inflightMax: 2_000,
  flowDeadlineMs: 15_000,
  sessionSeconds: 86_400,
};

export interface InboundOptions extends InboundAddress {
  /** Name of the shared subscription; '' subscribes for itself alone. */
  readonly group: string;
  readonly names: DeviceNames;
  readonly sink: InboundSink;
  readonly limits?: Partial<InboundLimits>;
  readonly batch?: { readonly sizeMax?: number; readonly delayMs?: number };
  /** Looks up a name again until the database answers. */
  readonly untilAnswered: <T>(ask: () => Promise<T>) => Promise<T>;
  /** Keeps a message that three times no flow settled (FLOW_UNSETTLED). */
  readonly unsettled?: (delivery: Delivery) => Promise<void>;
  /**
   * The right to subscribe without sharing: one process per database, or each message would be taken in twice.
   * Rejects when another one has it.
   */
  readonly claim?: () => Promise<SoleRight>;
  readonly log?: BrokerLog;
}

export interface SoleRight {
  /** Why it is lost at the moment; undefined while it holds. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

export interface InboundStats {
  readonly state: 'connecting' | 'open' | 'waiting';
  /** Why it is not open. */
  readonly reason: string | null;
  /** Unix ms of the next attempt while it waits. */
  readonly retryAt: number | null;
  readonly isShared: boolean;
  /** Filters that the broker refused. */
  readonly refused: readonly string[];
  readonly received: number;
  readonly inflight: number;
  readonly givenUp: number;
  readonly connects: number;
}

export interface Inbound {
  stats(): InboundStats;
  /** The flow goes away (Deploy): nothing is sent into it, no deadline runs. */
  pause(): void;
  /** It is there again: what no store holds is offered to it. */
  resume(): void;
  /** Takes nothing more, waits up to `drainMs` for what stores hold, acknowledges it; the broker keeps the rest. */
  close(options?: { readonly drainMs?: number }): Promise<void>;
}

import type { NatsAddress } from './connect.js';
import type { JournalRow } from './journal-store.js';
import type { StreamWanted } from './stream.js';

/** What the thread that forwards is started with. */
export interface ThreadSettings {
  readonly databaseUrl: string;
  readonly address: NatsAddress;
  readonly stream: StreamWanted;
  /** INSTANCE_ID. */
  readonly instance: string;
  /** How long the journal keeps what is forwarded, and what is not. */
  readonly keepHours: number;
  readonly unforwardedDays: number;
  /** Messages of QoS 0 that may wait for NATS. */
  readonly passingMax: number;
}

/** A body that was in a Buffer arrives as the bytes of one. */
export type ToThread =
  | { readonly kind: 'row'; readonly row: Omit<JournalRow, 'body'> & { readonly body: Uint8Array } }
  | { readonly kind: 'passed'; readonly messages: number; readonly body: Uint8Array }
  | { readonly kind: 'pace'; readonly perSecond: number | null }
  | { readonly kind: 'close' };

export type DropReason = 'journal' | 'too large' | 'qos 0';

export interface ForwardState {
  readonly isConnected: boolean;
  /** Why it is not, or what else is wrong; for people. */
  readonly problem: string | null;
  /** In what the stream is another than wanted. */
  readonly differences: readonly string[];
  /** Messages in the journals of all instances that are not in the stream. */
  readonly backlog: number;
  /** Age of the oldest of them. */
  readonly lagMs: number;
  /** Lanes that are forwarded here. */
  readonly lanes: number;
}

export type FromThread =
  | { readonly kind: 'state'; readonly state: ForwardState }
  | {
      readonly kind: 'forwarded';
      readonly messages: number;
      readonly passed: number;
      readonly lagsMs: readonly number[];
    }
  | {
      readonly kind: 'dropped';
      readonly messages: number;
      readonly reason: DropReason;
      readonly details: string;
    }
  | { readonly kind: 'took'; readonly bytes: number }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn'; readonly line: string }
  | { readonly kind: 'closed' };

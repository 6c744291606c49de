import type { Connection } from './connection.js';
import type { BrokerLimits } from './limits.js';
import type { ConnectPacket } from './packet/connect.js';

/** What a connection asks of the broker. */
export interface ConnectionHost {
  readonly limits: BrokerLimits;
  counterOf(label: string): { count: number };
  /** Judges the login; ends in `refuse`, `welcome` or `close`. */
  admit(connection: Connection, connect: ConnectPacket): void;
  /** Takes a device's PUBLISH; false: not now, keep it. */
  publish(connection: Connection, buffer: Buffer, head: number, start: number, end: number): boolean;
  /** Answers a device's PUBREL; false: not now, keep it. */
  release(connection: Connection, packetId: number): boolean;
  /** The device has used up its rate. */
  throttled(connection: Connection): void;
  /** It waits for the gate or for its rate. */
  stalled(connection: Connection): void;
  /** Acknowledgements may be ready; they leave at the end of this turn of the event loop. */
  ready(connection: Connection): void;
  /** `saidNothing`: a probe of the port, no login. */
  closed(connection: Connection, reason: string, saidNothing: boolean): void;
}

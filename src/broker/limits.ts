/** Bounds of [M-15] and of what is in flight. Everything that a client can make grow has one. */
export interface BrokerLimits {
  readonly packetBytesMax: number;
  /** Messages per second that one device may sustain; beyond `burst` its socket is read more slowly. */
  readonly ratePerSecond: number;
  readonly burst: number;
  readonly subscriptionsMax: number;
  /** Deliveries and payload bytes that wait for the database; at the bound no PUBLISH is read, at 80 % it goes on. */
  readonly inflightMax: number;
  readonly inflightBytesMax: number;
  readonly connectTimeoutMs: number;
  /**
   * Refused logins per second of one address, with a stock of ten seconds; beyond, the answers come late and further
   * connections of that address are taken slowly.
   */
  readonly loginRefusalsPerSecond: number;
  /** How long a delivery may wait until a store holds it. */
  readonly flowDeadlineMs: number;
  /** How long a store may hold it for a client without keep-alive; with one, 1.5 × keep-alive. */
  readonly holdMs: number;
  /** And at least so long: pings are answered meanwhile, and an outage of a minute costs no meter three reconnects. */
  readonly holdMinMs: number;
  readonly connectionsMax: number;
  /** Bytes queued for a client that does not read; beyond, it is closed. */
  readonly outgoingBytesMax: number;
  /** Messages kept for an absent client with a stored session, and stored sessions per user. */
  readonly offlineMessagesMax: number;
  readonly storedSessionsMax: number;
  /** QoS 2 packet ids of one client that wait for PUBREL. */
  readonly received2Max: number;
  /** Retained topics and bytes of one device. */
  readonly retainedTopicsMax: number;
  readonly retainedBytesMax: number;
}

export const defaultLimits: BrokerLimits = {
  packetBytesMax: 262_144,
  ratePerSecond: 50,
  burst: 1_000,
  subscriptionsMax: 100,
  inflightMax: 20_000,
  inflightBytesMax: 64 * 1024 * 1024,
  connectTimeoutMs: 30_000,
  loginRefusalsPerSecond: 10,
  flowDeadlineMs: 15_000,
  holdMs: 90_000,
  holdMinMs: 30_000,
  connectionsMax: 50_000,
  outgoingBytesMax: 4 * 1024 * 1024,
  offlineMessagesMax: 1_000,
  storedSessionsMax: 10,
  received2Max: 1_000,
  retainedTopicsMax: 100,
  retainedBytesMax: 262_144,
};

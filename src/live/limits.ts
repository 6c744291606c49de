/** What a client of /ws may take up. Stated in docs/protocol.md. */
export interface LiveLimits {
  readonly clientsMax: number;
  /** Unsent bytes of a client; beyond them it is dropped as slow. */
  readonly backlogMaxBytes: number;
  /** A ping goes out so often, and has to be answered within `pongMs`. */
  readonly pingMs: number;
  readonly pongMs: number;
  /** A client that resumes and reads nothing for so long is dropped as slow. */
  readonly resumeStuckMs: number;
  /** Of a message from a client. */
  readonly messageMaxBytes: number;
  /** Messages of one client within `messagesPerMs`. */
  readonly messagesMax: number;
  readonly messagesPerMs: number;
  /** Messages that cannot be understood, before the client is dropped. */
  readonly mistakesMax: number;
  /** What prosumers own is looked up again so often, and trusted for so long while the database is away. */
  readonly ownershipMs: number;
  readonly ownershipMaxMs: number;
  /** Who it is has to be found out in this time. socket.io cuts off whoever is not answered within a second. */
  readonly admissionMs: number;
  /** Whether he is still welcome is asked again so often. */
  readonly recheckMs: number;
  /** Instances tell each other by Redis how far they are so often; a Redis that says nothing for `redisSilentMs` is gone. */
  readonly redisHelloMs: number;
  readonly redisSilentMs: number;
}

export const liveLimits: LiveLimits = {
  clientsMax: 5_000,
  backlogMaxBytes: 1_048_576,
  pingMs: 30_000,
  pongMs: 10_000,
  resumeStuckMs: 10_000,
  messageMaxBytes: 65_536,
  messagesMax: 20,
  messagesPerMs: 10_000,
  mistakesMax: 10,
  ownershipMs: 10_000,
  ownershipMaxMs: 60_000,
  admissionMs: 900,
  recheckMs: 30_000,
  redisHelloMs: 5_000,
  redisSilentMs: 15_000,
};

/** Resuming reaches back so far. */
export const resumeWindow = { entriesMax: 50_000, ageMaxMs: 300_000 } as const;
/** At another instance than the one that gave the id, so much of what came before it is told again. */
export const overlapMs = 2_000;

/** Why a client is sent away, with the close code of RFC 6455 (or one of the range for applications). */
export const farewells = {
  stopping: { code: 1001, reason: 'Meterflow stops' },
  restarting: { code: 1012, reason: 'the gateway starts anew with other settings' },
  slow: { code: 1013, reason: 'too slow: events are not waited for' },
  unchecked: { code: 1013, reason: 'which meters are yours cannot be looked up now' },
  binary: { code: 1003, reason: 'binary messages are not understood' },
  mistaken: { code: 1008, reason: 'too many messages that cannot be understood' },
  talkative: { code: 1008, reason: 'too many messages' },
  expired: { code: 4401, reason: 'the token has expired' },
  unwelcome: {
    code: 4401,
    reason: 'this login does not hold any longer, or for something else: connect again',
  },
} as const;

export type Farewell = keyof typeof farewells;

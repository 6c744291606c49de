import type { Connection } from './connection.js';
import type { InboundPublish } from './inbound-publish.js';
import type { Turns } from './turns.js';

/**
 * What outlives a connection: whose client id it is, and the QoS 2 ids received but not released
 * ([MQTT-4.3.3-2]). For clean sessions it ends with the connection ([MQTT-3.1.2-6]).
 */
export interface Session {
  readonly clientId: string;
  readonly user: string;
  readonly clean: boolean;
  connection: Connection | null;
  /** By packet id: the publish whose commit is awaited, or `recorded` once PUBREC was due. */
  readonly received2: Map<number, InboundPublish | 'recorded'>;
  /** aedes' next packet id, so that a resumed session does not reuse one that is unacknowledged. */
  nextPacketId: number;
  /** Of its deliveries, while a journal is kept. */
  turns: Turns | null;
}

export class Sessions {
  private readonly byClient = new Map<string, Session>();

  constructor(
    private readonly storedMax: number,
    /** Told when a stored session is dropped to make room for another of the same user. */
    private readonly onDropped: (clientId: string) => void,
  ) {}

  get(clientId: string): Session | undefined {
    return this.byClient.get(clientId);
  }

  /** The caller has made sure that the id is free or this user's. */
  open(clientId: string, user: string, clean: boolean, connection: Connection): Session {
    const stored = this.byClient.get(clientId);
    if (stored !== undefined && !clean && !stored.clean) {
      stored.connection = connection;
      return stored;
    }
    if (!clean) this.makeRoom(user);
    const session: Session = {
      clientId,
      user,
      clean,
      connection,
      received2: new Map(),
      nextPacketId: 1,
      turns: null,
    };
    this.byClient.set(clientId, session);
    return session;
  }

  /** The connection ended. */
  leave(session: Session, connection: Connection): void {
    if (session.connection !== connection) return;
    session.connection = null;
    if (session.clean) this.byClient.delete(session.clientId);
  }

  private makeRoom(user: string): void {
    const own = [...this.byClient.values()].filter((session) => session.user === user && !session.clean);
    if (own.length < this.storedMax) return;
    const absent = own.find((session) => session.connection === null);
    if (absent === undefined) return;
    this.byClient.delete(absent.clientId);
    this.onDropped(absent.clientId);
  }
}

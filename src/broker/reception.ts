import { type Admission, admit, ownerProblem } from './admission.js';
import type { Engine } from './aedes-engine.js';
import type { Clients } from './clients.js';
import { elapsedMs } from './clock.js';
import type { Connection } from './connection.js';
import type { Directory } from './directory.js';
import type { LoginThrottle } from './login-throttle.js';
import type { BrokerAccess, BrokerOptions } from './options.js';
import type { ConnectPacket } from './packet/connect.js';
import type { Rates } from './rate.js';
import type { SessionLog } from './session-log.js';
import type { Sessions } from './sessions.js';

/** aedes lets go of a client within a few turns of the event loop; longer would be its mistake. */
const TAKEOVER_MS = 1_000;

/** Lets clients in: login, takeover of a client id, session, and then aedes ([M-12]). */
export class Reception {
  private waiting: (() => void)[] | null = null;

  constructor(
    private readonly parts: {
      readonly clients: Clients;
      readonly sessions: Sessions;
      readonly rates: Rates;
      readonly throttle: LoginThrottle;
      readonly access: BrokerAccess;
      readonly deviceCertificates?: BrokerOptions['deviceCertificates'];
      readonly log: SessionLog;
      readonly engine: () => Engine;
    },
    private directory: Directory,
  ) {}

  /** The flow, and perhaps its registry, is away: logins wait for the next one. */
  pause(): void {
    this.waiting ??= [];
  }

  resume(directory: Directory): void {
    this.directory = directory;
    const waiting = this.waiting ?? [];
    this.waiting = null;
    for (const go of waiting) go();
  }

  async receive(connection: Connection, connect: ConnectPacket): Promise<void> {
    connection.isJudged = true;
    const { waiting } = this;
    if (waiting !== null) await new Promise<void>((resolve) => waiting.push(resolve));
    if (connection.isClosed) return;
    const admission = await admit(this.directory, this.parts, connect, connection.certificate);
    // Counted also when it did not wait for the answer.
    if (admission.outcome === 'refused') return this.refuse(connection, admission);
    if (connection.isClosed) return;
    const { clients, sessions, rates, engine } = this.parts;
    const { principal, clientId } = admission;
    const { user } = principal;
    connection.principal = principal;
    connection.clientId = clientId;
    connection.password = connect.password?.toString('utf8') ?? '';

    const before = clients.withId(clientId);
    const problem =
      ownerProblem(sessions.get(clientId), user) ??
      (before !== undefined && before.principal?.user !== user ? 'client id in use' : null);
    if (problem !== null) return this.refuse(connection, { outcome: 'refused', code: 2, reason: problem });
    // Claimed before the wait, so that a third client of this id meets this one.
    clients.claim(connection, user);
    if (before !== undefined) {
      connection.departure.after = before.departure;
      before.close('taken over'); // [MQTT-3.1.4-2]
      await before.departure.wait(TAKEOVER_MS);
      connection.departure.after = null;
      if (connection.isClosed) return;
    }
    if (principal.kind === 'device') connection.bucket = rates.of(user);
    const isResumed = !connect.clean && sessions.get(clientId) !== undefined;
    connection.sessionPresent = isResumed && connect.level === 4 ? 1 : 0;
    connection.session = sessions.open(clientId, user, connect.clean, connection);
    engine().attach(connection, connect);
  }

  private refuse(connection: Connection, { code, reason }: Extract<Admission, { outcome: 'refused' }>): void {
    connection.reason = reason;
    // A registry that is away is not the client's fault.
    const lateMs = code === 3 ? 0 : this.parts.throttle.refused(connection.address, elapsedMs());
    if (lateMs === 0) connection.refuse(code);
    else setTimeout(() => connection.refuse(code), lateMs).unref();
  }
}

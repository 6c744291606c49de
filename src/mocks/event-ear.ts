import type { IPublishPacket, Packet } from 'mqtt-packet';
import { tlsOptions, type Trust } from '../mqtt/trust.js';
import { LightConnection } from './light-connection.js';
import { eventFilter } from './mock-event.js';

export interface EventEarOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly trust: Trust | undefined;
  /** The same at every start: the broker keeps what comes in between. */
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
  /** An event. It is acknowledged when `settled` is called; in the order in which they came. */
  readonly heard: (topic: string, payload: Buffer, settled: () => void) => void;
  /** The subscription stands: what was before is not heard, unless the broker kept it. */
  readonly subscribed: () => void;
  readonly onState?: (reason: string | null) => void;
}

export interface EventEar {
  /** Null while it listens. */
  readonly reason: string | null;
  /** `forgets`: the broker keeps nothing for the next start. */
  stop(forgets: boolean): void;
}

const beatMs = 1_000;
const retryFirstMs = 500;
const retryMostMs = 15_000;
/** Events that wait for the database; the broker keeps the others. */
const waitingMax = 2_000;
const refusedCode = 0x80;

/** Hears device events over a session that the broker keeps, and comes back by itself. */
export function startEventEar(options: EventEarOptions): EventEar {
  let connection: LightConnection | undefined;
  let reason: string | null = 'connecting';
  let failures = 0;
  let openAt = 0;
  let waiting = 0;
  const beats = setInterval(beat, beatMs);
  open();

  function beat(): void {
    if (connection !== undefined) connection.beat();
    else if (performance.now() >= openAt) open();
  }

  function open(): void {
    const { host, port, tls, trust, clientId, username, password } = options;
    try {
      const secure = tls ? (trust === undefined ? {} : tlsOptions(trust)) : undefined;
      const opened: LightConnection = new LightConnection(
        { host, port, secure },
        { clientId, username, password, clean: false },
        {
          opened: () =>
            opened.send({
              cmd: 'subscribe',
              messageId: 1,
              subscriptions: [{ topic: eventFilter, qos: 1 }],
            }),
          packet: (packet) => take(opened, packet),
          closed: lost,
        },
      );
      connection = opened;
    } catch (error) {
      lost(error instanceof Error ? error.message : String(error));
    }
  }

  function take(from: LightConnection, packet: Packet): void {
    if (packet.cmd === 'publish') return hear(from, packet);
    if (packet.cmd !== 'suback') return;
    if (packet.granted.some((code) => Number(code) >= refusedCode))
      return from.cut(`subscription refused: ${eventFilter}`);
    failures = 0;
    tell(null);
    options.subscribed();
  }

  function hear(from: LightConnection, { qos, messageId, topic, payload }: IPublishPacket): void {
    waiting += 1;
    if (waiting >= waitingMax) from.pause();
    options.heard(topic, Buffer.from(payload), () => {
      waiting -= 1;
      // Over a connection that is gone it comes again, and changes nothing.
      if (from !== connection) return;
      if (qos === 1) from.send({ cmd: 'puback', ...(messageId === undefined ? {} : { messageId }) });
      if (waiting < waitingMax / 2) from.resume();
    });
  }

  function lost(why: string): void {
    connection = undefined;
    const longest = Math.min(retryMostMs, retryFirstMs * 2 ** failures);
    failures += 1;
    openAt = performance.now() + longest * (0.5 + Math.random() / 2);
    tell(why);
  }

  function tell(why: string | null): void {
    if (why === reason) return;
    reason = why;
    options.onState?.(why);
  }

  return {
    get reason() {
      return reason;
    },
    stop(forgets) {
      clearInterval(beats);
      if (forgets) connection?.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [eventFilter] });
      connection?.leave();
      connection = undefined;
    },
  };
}

import { connect, type Socket } from 'node:net';
import {
  AnswerReader,
  connectPacket,
  disconnect,
  pingreq,
  publishPacket,
  type Login,
} from '../load/mqtt-wire.js';

/** The connections of meters that answer tokens: written by hand, as the generator must not be what is measured. */
export interface MeterMouths {
  /** Publishes at QoS 1. */
  say(meter: number, topic: string, payload: string): void;
  readonly unacknowledged: number;
  /** Why connections broke. */
  readonly lost: readonly string[];
  close(): void;
}

const connectAtOnce = 100;
const pingEveryMs = 20_000;
const pingShares = 200;

export async function openMouths(port: number, logins: readonly Login[]): Promise<MeterMouths> {
  const sockets: Socket[] = [];
  const lost: string[] = [];
  let unacknowledged = 0;
  let isClosing = false;
  let packetId = 0;
  let pinged = 0;
  let next = 0;

  function open(index: number, login: Login): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      const reader = new AnswerReader();
      const fail = (reason: string): void => {
        if (!isClosing) lost.push(`${login.clientId}: ${reason}`);
        reject(new Error(`${login.clientId}: ${reason}`));
      };
      socket.on('connect', () => socket.write(connectPacket(login)));
      socket.on('data', (chunk: Buffer) =>
        reader.read(
          chunk,
          () => (unacknowledged -= 1),
          (code) => {
            if (code !== 0) return fail(`CONNACK ${code}`);
            sockets[index] = socket;
            resolve();
          },
        ),
      );
      socket.on('error', (error) => fail(error.message));
      socket.on('close', () => fail('closed by the broker'));
    });
  }

  const inTurn = async (): Promise<void> => {
    for (let index = next++; index < logins.length; index = next++) {
      const login = logins[index];
      if (login !== undefined) await open(index, login);
    }
  };
  await Promise.all(Array.from({ length: connectAtOnce }, inTurn));
  // A share at a time, as so many meters would.
  const pings = setInterval(() => {
    pinged = (pinged + 1) % pingShares;
    for (let at = pinged; at < sockets.length; at += pingShares) sockets[at]?.write(pingreq);
  }, pingEveryMs / pingShares);

  return {
    say(meter, topic, payload) {
      unacknowledged += 1;
      packetId = (packetId % 65_535) + 1;
      sockets[meter]?.write(publishPacket(topic, payload, packetId));
    },
    get unacknowledged() {
      return unacknowledged;
    },
    lost,
    close() {
      isClosing = true;
      clearInterval(pings);
      for (const socket of sockets) socket.end(disconnect);
    },
  };
}

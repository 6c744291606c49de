/**
 * Some of a crowd's connections, in a process of their own: thousands of sockets have room there, and neither the
 * broker's nor the test's event loop carries them. It is forked by crowd.ts and does one order at a time.
 */
import { type Socket, connect } from 'node:net';
import { type Login, connectPacket } from './mqtt-wire.js';

export interface SilentOrder {
  readonly order: 'silent';
  readonly port: number;
  /** Where each connection comes from. */
  readonly from: readonly string[];
  /** What each says, as hex: `10` is the first byte of a CONNECT. */
  readonly says: readonly string[];
}

/** All log in at once, after all that were there have gone, in the way of `before`. */
export interface LoginOrder {
  readonly order: 'login';
  readonly port: number;
  readonly logins: readonly Login[];
  /**
   * `cut` and `reset`: their sockets end with a FIN or RST. `stay`: nobody told the broker, the old connections are still
   * open. A number: they have just begun to log in once more, and are cut after so many milliseconds.
   */
  readonly before: 'cut' | 'reset' | 'stay' | number;
}

/** Answered when all are closed. */
interface ClosedOrder {
  readonly order: 'closed';
}

export interface Lifetimes {
  readonly count: number;
  readonly shortestMs: number;
  readonly longestMs: number;
}

/** How many logins ended how; `CONNACK 0` is the good end. */
export type Outcomes = Record<string, number>;

const answerMs = 60_000;
const wave = 100;
const pauseMs = 20;
let lives: Promise<number>[] = [];
let sockets: Socket[] = [];

process.on('message', (order: SilentOrder | LoginOrder | ClosedOrder) => {
  void obey(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit(0));

async function obey(order: SilentOrder | LoginOrder | ClosedOrder): Promise<number | Lifetimes | Outcomes> {
  if (order.order === 'silent') return openSilent(order);
  if (order.order === 'login') return logIn(order);
  const found = await Promise.all(lives);
  return { count: found.length, shortestMs: Math.min(...found), longestMs: Math.max(...found) };
}

/** In waves, so that the crowd does not take the cores that the broker runs on. */
async function openSilent(order: SilentOrder): Promise<number> {
  for (let first = 0; first < order.from.length; first += wave) await openWave(order, first);
  return order.from.length;
}

async function openWave({ port, from, says }: SilentOrder, first: number): Promise<void> {
  const opened = from.slice(first, first + wave).map(
    (localAddress, n) =>
      new Promise<void>((resolve) => {
        const socket = connect({ port, host: '127.0.0.1', localAddress });
        const since = performance.now();
        const life = new Promise<number>((end) => {
          socket.on('close', () => end(performance.now() - since));
        });
        lives.push(life);
        socket.on('error', () => {});
        socket.on('connect', () => {
          const bytes = Buffer.from(says[first + n] ?? '', 'hex');
          if (bytes.length > 0) socket.write(bytes);
          resolve();
        });
        // Else nobody notices the end.
        socket.resume();
      }),
  );
  await Promise.all(opened);
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}

async function logIn({ port, logins, before }: LoginOrder): Promise<Outcomes> {
  const old = sockets;
  sockets = [];
  if (before !== 'stay')
    for (const socket of old)
      if (before === 'reset') socket.resetAndDestroy();
      else socket.destroy();
  if (typeof before === 'number') {
    const begun = logins.map((login) => begin(port, login).socket);
    await new Promise((resolve) => setTimeout(resolve, before));
    for (const socket of begun) socket.destroy();
  }
  const ends = logins.map((login) => {
    const { socket, outcome } = begin(port, login);
    sockets.push(socket);
    return outcome;
  });
  const outcomes: Outcomes = {};
  for (const end of await Promise.all(ends)) outcomes[end] = (outcomes[end] ?? 0) + 1;
  return outcomes;
}

function begin(port: number, login: Login): { socket: Socket; outcome: Promise<string> } {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const outcome = new Promise<string>((resolve) => {
    const late = setTimeout(() => resolve('no answer'), answerMs);
    const end = (what: string): void => {
      clearTimeout(late);
      resolve(what);
    };
    socket.once('data', (bytes: Buffer) =>
      end(bytes[0] === 0x20 ? `CONNACK ${bytes[3]}` : bytes.toString('hex')),
    );
    socket.on('error', (error) => end(error.message));
    socket.on('close', () => end('closed without an answer'));
  });
  socket.on('connect', () => socket.write(connectPacket(login)));
  return { socket, outcome };
}

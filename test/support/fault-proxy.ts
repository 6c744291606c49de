import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';

/** A TCP proxy that breaks in the ways networks break. Stands before PostgreSQL, or between a meter and the broker. */
export interface FaultProxy {
  readonly port: number;
  /** Pairs of sockets open now. */
  readonly connections: number;
  /** Connections that were broken in the middle of an answer. */
  readonly resets: number;
  /** All is well again; what a black hole held back arrives. */
  pass(): void;
  /** Every connection is reset, and so is every new one. */
  cut(): void;
  /** Connections stay and are taken, and nothing arrives any more, in either direction. */
  blackHole(): void;
  /** The same in the direction of the client only: requests arrive, answers do not. */
  swallowAnswers(): void;
  /** Everything arrives this much later. */
  slow(delayMs: number): void;
  /** The next `times` requests that contain `text` arrive; their answer breaks off in the middle. */
  resetAnswerTo(text: string, times?: number): void;
  close(): Promise<void>;
}

type Mode = 'pass' | 'cut' | 'black hole' | 'swallow answers';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** The answer that comes next is to break. */
  doomed: boolean;
}

export async function startFaultProxy(target: { host: string; port: number }): Promise<FaultProxy> {
  const pairs = new Set<Pair>();
  let mode: Mode = 'pass';
  let delayMs = 0;
  let doom: { text: string; times: number } = { text: '', times: 0 };
  let resets = 0;

  const listener = createServer({ noDelay: true }, (client) => {
    client.on('error', () => {});
    if (mode === 'cut') {
      reset(client);
      return;
    }
    const server = connect({ ...target, noDelay: true });
    const pair: Pair = { client, server, doomed: false };
    pairs.add(pair);
    server.on('error', () => reset(client));
    client.on('data', (chunk: Buffer) => {
      if (doom.times > 0 && chunk.includes(doom.text)) {
        doom.times -= 1;
        pair.doomed = true;
      }
      later(() => server.write(chunk));
    });
    server.on('data', (chunk: Buffer) =>
      pair.doomed ? breakOff(pair, chunk) : later(() => client.write(chunk)),
    );
    client.on('end', () => later(() => server.end()));
    server.on('end', () => later(() => client.end()));
    for (const socket of [client, server]) socket.on('close', () => drop(pair));
    apply(pair);
  });

  /** In order, because equal delays fire in the order they were set. */
  function later(step: () => void): void {
    if (delayMs === 0) step();
    else setTimeout(step, delayMs);
  }

  function breakOff(pair: Pair, answer: Buffer): void {
    resets += 1;
    pair.client.write(answer.subarray(0, Math.floor(answer.length / 2)), () => drop(pair));
  }

  function drop(pair: Pair): void {
    if (!pairs.delete(pair)) return;
    reset(pair.client);
    pair.server.destroy();
  }

  function apply({ client, server }: Pair): void {
    if (mode === 'black hole') client.pause();
    else client.resume();
    if (mode === 'pass') server.resume();
    else server.pause();
  }

  function become(next: Mode): void {
    mode = next;
    delayMs = 0;
    doom = { text: '', times: 0 };
    for (const pair of pairs) {
      if (mode === 'cut') drop(pair);
      else apply(pair);
    }
  }

  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as AddressInfo).port,
    get connections() {
      return pairs.size;
    },
    get resets() {
      return resets;
    },
    pass: () => become('pass'),
    cut: () => become('cut'),
    blackHole: () => become('black hole'),
    swallowAnswers: () => become('swallow answers'),
    slow(ms) {
      become('pass');
      delayMs = ms;
    },
    resetAnswerTo(text, times = 1) {
      doom = { text, times };
    },
    async close() {
      become('cut');
      const closed = once(listener, 'close');
      listener.close();
      await closed;
    },
  };
}

/** While its goodbye is under way a reset would keep Node 24 busy for ever, at the end of the process. */
function reset(socket: Socket): void {
  if (socket.writableEnded || socket.destroyed) socket.destroy();
  else socket.resetAndDestroy();
}

/** The same database, reached through the proxy. */
export function through(proxy: FaultProxy, databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  return url.href;
}

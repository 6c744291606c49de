import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { DomainError, isDomainError } from '../errors.js';
import { refuseUpgrade } from '../http/doors.js';
import { pageProblem } from '../http/origin.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { CallerOf, LiveCaller } from './caller.js';
import { LiveClient } from './client.js';
import type { Hub } from './hub.js';
import type { Farewell, LiveLimits } from './limits.js';
import { watchOwnership, type MetersOf } from './ownership.js';
import { wishOfQuery, type Wish } from './selection.js';
import { watchLogin } from './watch-login.js';

export interface GatewayOptions {
  readonly hub: Hub;
  /** `/ws` */
  readonly path: string;
  readonly callerOf: CallerOf;
  /** Pages of these origins may listen, too, besides those of the same host. */
  readonly origins: readonly string[];
  readonly limits: LiveLimits;
  /** Undefined: no prosumer can be served. */
  readonly metersOf: MetersOf | undefined;
}

export interface Gateway {
  /** @returns false: this address is another's, and the socket was not touched */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  readonly clients: number;
  close(why: Farewell): Promise<void>;
}

/** Clients that have not answered a close frame by then are cut off. */
const closeTimeoutMs = 5_000;
const goodbyeMs = 500;
const log = logger('live');

/** [L-1]: lets listeners in, tells each what he may hear, and sees who is gone. */
export function createGateway(options: GatewayOptions): Gateway {
  const { hub, limits } = options;
  const settings = {
    noServer: true,
    clientTracking: false,
    // Prepared frames go past it.
    perMessageDeflate: false,
    maxPayload: limits.messageMaxBytes,
    closeTimeout: closeTimeoutMs,
  };
  const server = new WebSocketServer(settings);
  const sockets = new Set<WebSocket>();
  const clients = new Set<LiveClient>();
  /** Whose admission is under way. */
  let asked = 0;
  const ownership = watchOwnership(options.metersOf, limits);
  const heartbeat = beat(clients, limits);

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const { path, query } = addressOf(request);
    if (path !== options.path) return false;
    // In a Node-RED of somebody's own nobody else listens to it yet.
    socket.on('error', () => socket.destroy());
    void letIn(request, socket, head, query);
    return true;
  }

  async function letIn(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    query: URLSearchParams,
  ): Promise<void> {
    asked += 1;
    try {
      const caller = await admit(request);
      const wish = wishOfQuery(query);
      if (socket.destroyed) return;
      server.handleUpgrade(request, socket, head, (ws) => void welcome(ws, socket, request, caller, wish));
    } catch (error) {
      const known = isDomainError(error) ? error : new DomainError('INTERNAL', 'Something failed inside.');
      metrics.webSocketRefused.inc({ reason: known.code });
      const details = { address: request.socket.remoteAddress, reason: known.message };
      if (known === error) log.warn(details, 'a listener was refused');
      else log.error({ ...details, err: error }, 'a listener was refused');
      refuseUpgrade(socket, known);
    } finally {
      asked -= 1;
    }
  }

  async function admit(request: IncomingMessage): Promise<LiveCaller> {
    const problem = pageProblem(request.headers, options.origins);
    if (problem !== undefined) throw new DomainError('FORBIDDEN', problem);
    if (sockets.size + asked > limits.clientsMax)
      throw new DomainError(
        'RATE_LIMITED',
        `${limits.clientsMax} listeners are connected, the most there may be.`,
      );
    const caller = await inTime(options.callerOf(request), limits.admissionMs);
    if (caller.role === 'prosumer' && options.metersOf === undefined)
      throw new DomainError('FORBIDDEN', 'This gateway has no database to look up your meters in.');
    return caller;
  }

  async function welcome(
    ws: WebSocket,
    socket: Duplex,
    request: IncomingMessage,
    caller: LiveCaller,
    wish: Wish,
  ): Promise<void> {
    sockets.add(ws);
    metrics.webSocketClients.set(sockets.size);
    ws.once('close', () => {
      sockets.delete(ws);
      metrics.webSocketClients.set(sockets.size);
    });
    // Until the client has its own.
    ws.on('error', () => undefined);
    const owner = caller.role === 'prosumer' ? (caller.user_id ?? '') : undefined;
    const own = owner === undefined ? undefined : await ownedBy(owner, ws);
    if (ws.readyState !== ws.OPEN) return;
    if (own === null) return ws.close(1013, 'which meters are yours cannot be looked up now');
    const client = new LiveClient({ ws, socket, hub, limits }, wish, own ?? null);
    clients.add(client);
    if (owner !== undefined) ownership.follow(owner, client);
    const stop = watchLogin(caller, client, () => options.callerOf(request), limits.recheckMs);
    ws.once('close', () => {
      stop();
      clients.delete(client);
      if (owner !== undefined) ownership.unfollow(owner, client);
    });
  }

  /** Null: that cannot be known now. What he says meanwhile is heard afterwards. */
  async function ownedBy(userId: string, ws: WebSocket): Promise<ReadonlySet<string> | null> {
    ws.pause();
    try {
      return await ownership.first(userId);
    } catch {
      return null;
    } finally {
      ws.resume();
    }
  }

  return {
    upgrade,
    get clients() {
      return sockets.size;
    },
    async close(why) {
      heartbeat.stop();
      ownership.stop();
      const gone = [...sockets].map((ws) => new Promise((resolve) => ws.once('close', resolve)));
      for (const client of clients) client.dismiss(why);
      await Promise.race([Promise.all(gone), patience(goodbyeMs)]);
      for (const ws of sockets) ws.terminate();
    },
  };
}

/** Sees who is gone without a word: a ping to all, and those who have not answered in time are cut off. */
function beat(clients: ReadonlySet<LiveClient>, { pingMs, pongMs }: LiveLimits): { stop(): void } {
  let sweep: NodeJS.Timeout | undefined;
  const timer = setInterval(() => {
    for (const client of clients) client.ping();
    sweep = setTimeout(() => {
      for (const client of clients) client.endIfSilent();
    }, pongMs);
    sweep.unref();
  }, pingMs);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      clearTimeout(sweep);
    },
  };
}

function addressOf({ url = '/' }: IncomingMessage): { path: string; query: URLSearchParams } {
  const at = url.indexOf('?');
  return at === -1
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) };
}

/** @throws DomainError DATABASE_UNAVAILABLE when it takes longer */
async function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new DomainError('DATABASE_UNAVAILABLE', 'Who you are cannot be looked up now.');
    timer = setTimeout(() => reject(error), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function patience(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

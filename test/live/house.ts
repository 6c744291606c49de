import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KnownCaller } from '../../src/callers/caller.js';
import { listenerOf, type CallerOf } from '../../src/live/caller.js';
import type { LiveEvent } from '../../src/live/event.js';
import { liveLimits, type LiveLimits } from '../../src/live/limits.js';
import type { MetersOf } from '../../src/live/ownership.js';
import { acquireLive, closeAllLive, releaseLive, type Live } from '../../src/live/runtime.js';
import type { RedisSettings } from '../../src/redis/connection.js';
import { listenTo, type Listener } from './listener.js';

export interface LiveHouse {
  readonly server: Server;
  readonly live: Live;
  /** `ws://127.0.0.1:port/ws` */
  readonly url: string;
  listen(query?: string): Promise<Listener>;
  tell(...events: readonly LiveEvent[]): void;
  close(): Promise<void>;
}

export interface LiveHouseOptions {
  readonly limits?: Partial<LiveLimits>;
  readonly callerOf?: CallerOf;
  readonly metersOf?: MetersOf;
  readonly origins?: readonly string[];
  readonly redis?: RedisSettings;
}

/** [S-1]: whoever comes. */
const stranger: KnownCaller = {
  kind: 'demo',
  name: 'demo',
  user_id: null,
  role: 'admin',
  scopes: null,
  expires_at: null,
};

/** A gateway on a server of its own, with real sockets. */
export async function startLiveHouse(options: LiveHouseOptions = {}): Promise<LiveHouse> {
  const server = createServer((_request, response) => response.writeHead(404).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const live = acquireLive('test', {
    server,
    path: '/ws',
    callerOf: options.callerOf ?? listenerOf({ identify: () => Promise.resolve(null), stranger }),
    origins: options.origins ?? [],
    limits: { ...liveLimits, ...options.limits },
    metersOf: options.metersOf,
    redis: options.redis ?? null,
    channels: { market: 'market:events', meter: 'meter:updates' },
  });
  const url = `ws://127.0.0.1:${port}/ws`;
  const listeners: Listener[] = [];
  return {
    server,
    live,
    url,
    async listen(query = '') {
      const listener = await listenTo(url + query);
      listeners.push(listener);
      return listener;
    },
    tell: (...events) => live.hub.publish(events.length, () => events),
    async close() {
      for (const { ws } of listeners) ws.terminate();
      releaseLive(live);
      await closeAllLive();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function reading(meter_id: string, number = 1): LiveEvent {
  return {
    event: 'MeterReadingSubmitted',
    data: { meter_id, user_id: null, kwh_amount: number, timestamp: '2026-11-20T12:00:00.000Z' },
  };
}

export function balance(meter_id: string, units = 1): LiveEvent {
  return { event: 'BalanceChanged', data: { meter_id, balance: units, reason: 'payment' } };
}

export function payment(meter_id: string | null): LiveEvent {
  return { event: 'PaymentReceived', data: { meter_id, receipt: 'R1', amount: 100, currency: 'KES' } };
}

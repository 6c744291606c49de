import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { DomainError } from '../errors.js';
import type { RedisSettings } from '../redis/connection.js';
import type { CallerOf } from './caller.js';
import type { ChannelKind } from './event.js';
import { createGateway, type Gateway } from './gateway.js';
import { Hub } from './hub.js';
import { resumeWindow, type LiveLimits } from './limits.js';
import type { MetersOf } from './ownership.js';
import { startRelay, type LiveRelay } from './relay.js';

export interface LiveOptions {
  readonly server: Server;
  /** With the root of the flows. */
  readonly path: string;
  /** Asked of whoever uses this at the time, as `metersOf`: a redeploy brings a new one. */
  readonly callerOf: CallerOf;
  readonly origins: readonly string[];
  readonly limits: LiveLimits;
  readonly metersOf: MetersOf | undefined;
  readonly redis: RedisSettings | null;
  readonly channels: Readonly<Record<ChannelKind, string>>;
}

/** Live events of this process under one address. */
export interface Live {
  readonly hub: Hub;
  readonly gateway: Gateway;
  readonly relay: LiveRelay | null;
}

interface Running {
  readonly live: Live;
  readonly key: string;
  callerOf: CallerOf;
  metersOf: MetersOf | undefined;
  users: number;
  linger: NodeJS.Timeout | null;
  close(why: 'stopping' | 'restarting'): Promise<void>;
}

/** By server and path. They outlive the nodes that use them: a redeploy keeps listeners and what they may resume. */
const running = new Map<Server, Map<string, Running>>();
const lingerMs = 10_000;

/** @param key everything in the settings that needs a new one when it changes */
export function acquireLive(key: string, options: LiveOptions): Live {
  const { server, path } = options;
  const here = running.get(server) ?? new Map<string, Running>();
  running.set(server, here);
  const present = here.get(path);
  if (present !== undefined && present.users > 0)
    throw new DomainError('CONFIGURATION', `Another live gateway already serves ${path}.`);
  if (present !== undefined && present.key === key) {
    if (present.linger !== null) clearTimeout(present.linger);
    present.linger = null;
    present.users = 1;
    present.callerOf = options.callerOf;
    present.metersOf = options.metersOf;
    return present.live;
  }
  if (present !== undefined) void present.close('restarting');
  const entry = open(key, options);
  here.set(path, entry);
  return entry.live;
}

/** Without another acquire within 10 s it closes. */
export function releaseLive(live: Live): void {
  for (const here of running.values())
    for (const entry of here.values()) {
      if (entry.live !== live) continue;
      entry.users = 0;
      entry.linger = setTimeout(() => void entry.close('stopping'), lingerMs);
      entry.linger.unref();
    }
}

/** Whether a WebSocket to this path ends at a gateway, which judges its listeners itself. */
export function servesLive(server: Server, path: string): boolean {
  return running.get(server)?.has(path) ?? false;
}

/** For the end of the process. */
export async function closeAllLive(): Promise<void> {
  const all = Array.from(running.values(), (here) => Array.from(here.values())).flat();
  await Promise.all(all.map((entry) => entry.close('stopping')));
}

function open(key: string, options: LiveOptions): Running {
  const { server, path, redis, channels, origins, limits } = options;
  const hub = new Hub({ instance: `i${randomBytes(5).toString('hex')}`, window: resumeWindow });
  const metersOf: MetersOf = (userIds) => {
    if (entry.metersOf === undefined) throw new DomainError('DATABASE_UNAVAILABLE', 'There is no database.');
    return entry.metersOf(userIds);
  };
  const gateway = createGateway({
    hub,
    path,
    callerOf: (request) => entry.callerOf(request),
    origins,
    limits,
    metersOf: options.metersOf === undefined ? undefined : metersOf,
  });
  const relay =
    redis === null
      ? null
      : startRelay({ redis, channels, hub, helloMs: limits.redisHelloMs, silentMs: limits.redisSilentMs });
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    gateway.upgrade(request, socket, head);
  };
  server.on('upgrade', onUpgrade);
  const entry: Running = {
    live: { hub, gateway, relay },
    key,
    callerOf: options.callerOf,
    metersOf: options.metersOf,
    users: 1,
    linger: null,
    async close(why) {
      if (entry.linger !== null) clearTimeout(entry.linger);
      const here = running.get(server);
      if (here?.get(path) === entry) here.delete(path);
      if (here?.size === 0) running.delete(server);
      server.off('upgrade', onUpgrade);
      hub.close();
      await Promise.all([gateway.close(why), relay?.close()]);
    },
  };
  return entry;
}

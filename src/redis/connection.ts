import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';

/** Where Redis is. Plain data. */
export interface RedisSettings {
  /** redis:// or rediss:// */
  readonly url: string;
  /** Instead of the one in the address; null: that one, if any. */
  readonly password: string | null;
  /** PEM file of the CA that signed the server's certificate; null: the system's. */
  readonly caFile: string | null;
}

const silentMsDefault = 15_000;
const commandMsDefault = 5_000;
const backoff = { firstMs: 50, mostMs: 2_000 };

export interface RedisManners {
  /** A command that takes longer has failed. */
  readonly commandMs?: number;
  /** A server that says nothing for so long is gone; whoever connects sees to it that it has something to say. */
  readonly silentMs?: number;
  /** Whether what was under way when the connection broke is sent again over the next one. */
  readonly resends?: boolean;
}

/**
 * A connection that comes back by itself. A command while it is away fails at once, and nothing is kept for later: what
 * waits is bounded by whoever sends. Nothing is awaited here; a problem is told to `onState`, null when all is well.
 */
export function connectRedis(
  { url, password, caFile }: RedisSettings,
  name: string,
  onState: (problem: string | null) => void,
  { commandMs = commandMsDefault, silentMs = silentMsDefault, resends = true }: RedisManners = {},
): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    ...(password === null ? {} : { password }),
    ...(caFile === null ? {} : { tls: { ca: readFileSync(caFile) } }),
    // What 5.0 and its forks speak, too.
    protocol: 2,
    enableOfflineQueue: false,
    connectTimeout: 5_000,
    commandTimeout: commandMs,
    autoResendUnfulfilledCommands: resends,
    socketTimeout: silentMs,
    keepAlive: 10_000,
    retryStrategy: (attempt) => Math.min(backoff.firstMs * 2 ** Math.min(attempt, 10), backoff.mostMs),
  });
  // Without a listener ioredis writes to the console.
  let reason: string | null = null;
  redis.on('error', (error: Error) => onState((reason = reasonOf(error))));
  redis.on('close', () => onState(reason ?? 'the connection is closed'));
  redis.on('ready', () => onState((reason = null)));
  return redis;
}

/** For people, and without the password that an address may hold ([S-3]). */
function reasonOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : '';
  if (code !== '' && error.message.includes(code)) return error.message;
  return [code, error.message].filter((part) => part !== '').join(': ');
}

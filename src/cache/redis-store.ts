import { createHash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Database } from '../database/database.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import { connectRedis, type RedisSettings } from '../redis/connection.js';
import { keepScript, lookScript, releaseScript } from './redis-scripts.js';
import { leaseMs, type Forgotten, type Lease, type Looked, type Place, type Store } from './store.js';

export interface RedisStoreOptions {
  readonly redis: RedisSettings;
  /** Installations that share a Redis do not share answers: each database has its own epoch. */
  readonly database: Database;
  /** How long a reader waits for Redis before he asks the database. */
  readonly patienceMs?: number;
}

/** A command that takes so long has failed. */
const commandMs = 1_000;
/** After one reader has waited in vain, the others do not try for so long, and Redis is asked whether it is there. */
const pauseMs = 500;
const renewMs = 500;
/** A line on which nothing is said is given up after 15 s. */
const pingMs = 5_000;
/** Readers who wait for Redis at a time. */
const looksMax = 2_000;
const keysAtOnce = 1_000;
const log = logger('cache');

/** Commands of ours on a connection. */
interface Scripts {
  meterLook(...args: string[]): Promise<['V' | 'L', string]>;
  meterKeep(...args: string[]): Promise<0 | 1>;
  meterRelease(...args: string[]): Promise<1>;
}

/**
 * Answers in Redis, shared by all instances of a database. Whoever could not reach Redis for a moment gives everything a
 * new epoch before he uses it again, since others may keep what he could not make them forget; so does everybody who
 * comes back to one that was restored from an older state.
 */
export function openRedisStore({ redis: settings, database, patienceMs = 250 }: RedisStoreOptions): Store {
  let problem: string | null = 'connecting';
  let shown: string | null = 'connecting';
  /** Commands may be sent: whatever we make it forget now comes after the new epoch. */
  let isRenewing = false;
  let epochKey: string | null = null;
  let pausedUntil = 0;
  let looks = 0;
  let isPinging = false;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  const redis = connectRedis(settings, 'meterflow-cache', (reason) => reason !== null && lost(reason), {
    commandMs,
    resends: false,
  }) as Redis & Scripts;
  redis.defineCommand('meterLook', { numberOfKeys: 2, lua: lookScript });
  redis.defineCommand('meterKeep', { numberOfKeys: 2, lua: keepScript });
  redis.defineCommand('meterRelease', { numberOfKeys: 2, lua: releaseScript });
  redis.on('ready', renewSoon);
  const pings = setInterval(() => void ping(), pingMs).unref();

  async function ping(): Promise<void> {
    if (problem !== null || isPinging) return;
    isPinging = true;
    try {
      await redis.ping();
    } catch (error) {
      lost(reasonOf(error));
    } finally {
      isPinging = false;
    }
  }

  function lost(reason: string): void {
    problem = reason;
    isRenewing = false;
    show();
    if (redis.status === 'ready' && !isClosed && timer === undefined)
      timer = setTimeout(renewSoon, renewMs).unref();
  }

  function renewSoon(): void {
    clearTimeout(timer);
    timer = undefined;
    if (!isClosed && problem !== null) void renew();
  }

  async function renew(): Promise<void> {
    try {
      epochKey ??= `meter:cache:epoch:${await identityOf(database)}`;
      isRenewing = true;
      await redis.set(epochKey, newEpoch());
      // Lost again meanwhile: whoever noted that begins anew.
      if (!isRenewing) return;
      problem = null;
      isRenewing = false;
      show();
    } catch (error) {
      lost(reasonOf(error));
    }
  }

  function show(): void {
    metrics.cacheUp.set(problem === null ? 1 : 0);
    if (isClosed || (problem === null) === (shown === null)) return;
    if (problem === null && shown !== 'connecting') log.info('answers are kept in Redis again');
    if (problem !== null) log.warn({ reason: problem }, 'Redis is away: answers come from the database');
    shown = problem;
  }

  async function look({ key, part }: Place): Promise<Looked> {
    if (problem !== null || epochKey === null || looks >= looksMax || performance.now() < pausedUntil)
      return null;
    looks += 1;
    const token = randomBytes(9).toString('base64url');
    try {
      const said = await within(
        patienceMs,
        redis.meterLook(key, epochKey, part, token, newEpoch(), String(leaseMs)),
      );
      if (said === null) return pause();
      const [kind, rest] = said;
      return kind === 'V' ? { text: rest } : { lease: { key, part, token: rest, isOurs: rest === token } };
    } catch {
      return pause();
    } finally {
      looks -= 1;
    }
  }

  function pause(): null {
    pausedUntil = performance.now() + pauseMs;
    void ping();
    return null;
  }

  async function keep({ key, part, token, isOurs }: Lease, text: string, ttlMs: number): Promise<boolean> {
    if (!isOurs || problem !== null || epochKey === null) return false;
    try {
      const ms = String(Math.max(1, Math.round(ttlMs)));
      return (await redis.meterKeep(key, epochKey, part, token, text, ms)) === 1;
    } catch {
      return false;
    }
  }

  function release({ key, part, token, isOurs }: Lease): void {
    if (!isOurs || problem !== null || epochKey === null) return;
    // It ends by itself, too.
    redis.meterRelease(key, epochKey, part, token).catch(() => {});
  }

  async function forget(keys: readonly string[] | null): Promise<Forgotten> {
    if (problem !== null && !isRenewing) return { entries: 0, isShared: false };
    try {
      if (keys === null) {
        if (epochKey !== null) await redis.set(epochKey, newEpoch());
        return { entries: 1, isShared: true };
      }
      const chunks = Array.from({ length: Math.ceil(keys.length / keysAtOnce) }, (_, index) =>
        keys.slice(index * keysAtOnce, (index + 1) * keysAtOnce),
      );
      const counts = await Promise.all(chunks.map((chunk) => redis.unlink(...chunk)));
      return { entries: counts.reduce((sum, count) => sum + count, 0), isShared: true };
    } catch (error) {
      // Nobody knows whether they are still there.
      lost(reasonOf(error));
      return { entries: 0, isShared: false };
    }
  }

  return {
    look,
    keep,
    release,
    forget,
    get problem() {
      return problem;
    },
    async close() {
      isClosed = true;
      clearInterval(pings);
      clearTimeout(timer);
      metrics.cacheUp.set(0);
      const goodbye = redis.status === 'ready' ? redis.quit().catch(() => undefined) : Promise.resolve();
      await Promise.race([goodbye, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
      redis.disconnect();
    },
  };
}

/** Unlike a number it never comes again, not even from a backup. */
function newEpoch(): string {
  return randomBytes(9).toString('base64url');
}

/** The same by whatever address a database is reached. */
async function identityOf(database: Database): Promise<string> {
  const { rows } = await database.query<{ identity: string }>({
    text: `select (select c.system_identifier from pg_control_system() c)::text || '/' || d.oid::text as identity
             from pg_database d where d.datname = current_database()`,
  });
  return createHash('sha256')
    .update(rows[0]?.identity ?? '')
    .digest('hex')
    .slice(0, 16);
}

/** Null when it took longer. An event loop that stood still is not held against Redis: what has come is read first. */
async function within<T>(ms: number, answer: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => setImmediate(() => resolve(null)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

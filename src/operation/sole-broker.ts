import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { DomainError } from '../errors.js';
import { logger } from './logging.js';

/** Any number that nothing else in this database locks. */
const lockKey = 7_306_135_202;
/** A predecessor that is being stopped gets this long to let go. */
const patienceMs = 5_000;
const retryMs = 1_000;

export interface SoleBroker {
  /** Why this instance is not the one with the embedded broker at the moment; undefined while it is. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

/**
 * [C-1]: one embedded broker per database, since sessions and client ids live in its memory. The claim is a lock of a
 * database session, so it ends with the process, however that ends; after a lost connection it is claimed anew.
 * @throws DomainError CONFIGURATION naming the instance that has it
 */
export async function claimSoleBroker(url: string, instance: string): Promise<SoleBroker> {
  const log = logger('mqtt');
  let client: Client | undefined;
  let problem: string | undefined;
  const stop = new AbortController();

  async function claim(): Promise<void> {
    const fresh = new Client({
      connectionString: url,
      application_name: `meterflow broker ${instance}`.slice(0, 63),
      connectionTimeoutMillis: 5_000,
      query_timeout: 5_000,
      keepAlive: true,
    });
    const lost = () => {
      if (client === fresh && !stop.signal.aborted) void reclaim();
    };
    fresh.on('error', lost);
    fresh.on('end', lost);
    try {
      await fresh.connect();
      const { rows } = await fresh.query<{ granted: boolean }>('select pg_try_advisory_lock($1) as granted', [
        lockKey,
      ]);
      if (rows[0]?.granted !== true) throw taken(await owner(fresh));
    } catch (error) {
      await fresh.end().catch(() => {});
      throw error;
    }
    client = fresh;
    problem = undefined;
  }

  async function reclaim(): Promise<void> {
    client = undefined;
    problem = 'the lock of the embedded broker is lost with the connection to the database';
    while (!stop.signal.aborted) {
      try {
        await claim();
        return;
      } catch (error) {
        if (error instanceof DomainError && problem !== error.message) log.error(error.message);
        problem = error instanceof Error ? error.message : String(error);
        await delay(retryMs, undefined, { signal: stop.signal }).catch(() => {});
      }
    }
  }

  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      await claim();
      break;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(250);
    }
  }
  return {
    get problem() {
      return problem;
    },
    async close() {
      stop.abort();
      // A stopped server never answers the goodbye.
      await Promise.race([client?.end().catch(() => {}), delay(1_000, undefined, { ref: false })]);
    },
  };
}

async function owner(client: Client): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `select a.application_name as name
       from pg_locks l join pg_stat_activity a using (pid)
      where l.locktype = 'advisory' and l.granted and a.datname = current_database()
        and (l.classid::bigint << 32) + l.objid::bigint = $1`,
    [lockKey],
  );
  return rows[0]?.name.replace(/^meterflow broker /, '') ?? 'unknown';
}

function taken(by: string): DomainError {
  return new DomainError(
    'CONFIGURATION',
    `Instance ${by} already runs the embedded broker of this database: set MQTT_BROKER_HOST to that broker, or use another database.`,
  );
}

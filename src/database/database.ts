import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool, type PoolClient } from 'pg';
import { asFailure, breaksConnection, isOutOfResources, unavailable } from './failures.js';
import { createMonitor, type Listener } from './monitor.js';

export { isTransient } from './failures.js';
export { untilCommitted } from './until-committed.js';
export type { Listener } from './monitor.js';

export interface Statement {
  /** Makes it a prepared statement of the connection. One name, one text. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
  /** Instead of the database's `queryTimeoutMs`. */
  readonly timeoutMs?: number;
}

export interface Session {
  /**
   * @throws DomainError DATABASE_UNAVAILABLE when the server is away, does not answer in time or has no room;
   * otherwise the server's own error with `.code` (SQLSTATE) and `.constraint`.
   */
  query<R extends object>(statement: Statement): Promise<{ rows: R[]; rowCount: number }>;
}

export interface Database extends Session {
  readonly url: string;
  /** begin, work, commit on one connection; rolls back when `work` throws. */
  transaction<T>(work: (tx: Session) => Promise<T>, how?: TransactionOptions): Promise<T>;
  /** LISTEN until the returned function is called. */
  listen(channel: string, listener: Listener): Promise<() => Promise<void>>;
  readonly state: DatabaseState;
  /** Why it is down, for people; null while up. */
  readonly reason: string | null;
  onState(listener: (state: DatabaseState, reason: string | null) => void): () => void;
  /** Resolves when up; @throws DomainError DATABASE_UNAVAILABLE after the deadline. */
  ready(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface TransactionOptions {
  /**
   * `indexes`: its prepared statements have one plan for any number of rows, by the indexes. Left alone, PostgreSQL makes
   * plans while the tables are empty and reads whole tables for every row until it has looked at them again (14 ms
   * instead of 0.1 with 10,000 meters), or plans anew each time.
   */
  readonly plans?: 'indexes';
}

export type DatabaseState = 'up' | 'down';

export interface DatabaseOptions {
  readonly url: string;
  readonly connectionsMax?: number;
  readonly queryTimeoutMs?: number;
  readonly applicationName?: string;
}

/** Opens a pool and one further connection that listens and probes. Nothing is awaited: see `ready`. */
export function openDatabase(options: DatabaseOptions): Database {
  const { url, connectionsMax = 10, queryTimeoutMs = 10_000, applicationName = 'meterflow' } = options;
  const sockets = new Set<Socket>();
  const connection = {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: Math.min(5_000, queryTimeoutMs),
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    // What is asked at once travels at once, and is done in that order.
    pipeline: true,
    stream: () => tracked(sockets),
    // What this process abandoned must not hold its locks on the server for ever.
    options: `-c timezone=UTC -c statement_timeout=${queryTimeoutMs} -c idle_in_transaction_session_timeout=${3 * queryTimeoutMs}`,
  };
  const pool = new Pool({ ...connection, max: connectionsMax, idleTimeoutMillis: 15_000 });
  const monitor = createMonitor(connection);
  // An idle pooled connection that breaks reports here; without a listener it would end the process.
  pool.on('error', (error) => monitor.suspect(error));
  // One that breaks between two statements of a transaction has no other listener; its next query fails.
  pool.on('connect', (client) => client.on('error', () => {}));

  async function withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined;
    let broken = false;
    try {
      client = await pool.connect();
      return await work(client);
    } catch (error) {
      const failure = client === undefined ? asConnectFailure(error) : asFailure(error);
      broken = breaksConnection(failure);
      if (broken || isOutOfResources(error)) monitor.suspect(error);
      throw failure;
    } finally {
      client?.release(broken);
    }
  }

  return {
    url,
    query: (statement) => withClient((client) => run(client, statement)),
    transaction: (work, how) => withClient((client) => inTransaction(client, work, how)),
    listen: (channel, listener) => monitor.listen(channel, listener),
    get state() {
      return monitor.state;
    },
    get reason() {
      return monitor.reason;
    },
    onState: (listener) => monitor.onState(listener),
    ready: (timeoutMs) => monitor.ready(timeoutMs),
    async close() {
      const ended = Promise.allSettled([monitor.close(), pool.end()]);
      // A stopped server never answers the goodbye.
      await Promise.race([ended, delay(2_000, undefined, { ref: false })]);
      for (const socket of sockets) socket.destroy();
      await ended;
    },
  };
}

async function run<R extends object>(
  client: PoolClient,
  statement: Statement,
): Promise<{ rows: R[]; rowCount: number }> {
  const result = await client.query<R>({
    text: statement.text,
    ...(statement.name === undefined ? {} : { name: statement.name }),
    ...(statement.values === undefined ? {} : { values: [...statement.values] }),
    ...(statement.timeoutMs === undefined ? {} : { query_timeout: statement.timeoutMs }),
  });
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

/** One way to the server and back for both. */
const beginByIndexes =
  'begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off';

async function inTransaction<T>(
  client: PoolClient,
  work: (tx: Session) => Promise<T>,
  { plans }: TransactionOptions = {},
): Promise<T> {
  // Not awaited: the first statement travels with it. Should it fail, that one fails as well.
  client.query(plans === 'indexes' ? beginByIndexes : 'begin').catch(() => {});
  try {
    const value = await work({
      query: async (statement) => {
        try {
          return await run(client, statement);
        } catch (error) {
          throw asFailure(error);
        }
      },
    });
    await client.query('commit');
    return value;
  } catch (error) {
    const failure = asFailure(error);
    if (!breaksConnection(failure)) await client.query('rollback');
    throw failure;
  }
}

/** Whatever stops a connection from being made is the server's fault: a wrong password, a missing database. */
function asConnectFailure(error: unknown): unknown {
  const failure = asFailure(error);
  return failure === error ? unavailable(error) : failure;
}

function tracked(sockets: Set<Socket>): Socket {
  const socket = new Socket();
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  return socket;
}

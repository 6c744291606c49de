import { setTimeout } from 'node:timers/promises';

import { elapsedMs } from './clock.js';
import type { Connection } from './connection.js';

/** After this the socket of a closed connection is cut, whatever its peer does. */
const CLOSING_MS = 2_000;
/** Connections that a sweep closes in one turn of the event loop: 10,000 at once kept everybody waiting for 400 ms. */
const CLOSED_PER_TURN = 100;

/** All sockets; by client id and by user once these are known. */
export class Clients {
  private readonly all = new Set<Connection>();
  private readonly byId = new Map<string, Connection>();
  private readonly byUser = new Map<string, Set<Connection>>();
  private isSweeping = false;

  get size(): number {
    return this.all.size;
  }

  get open(): number {
    return this.byId.size;
  }

  add(connection: Connection): void {
    this.all.add(connection);
    connection.socket.once('close', () => this.all.delete(connection));
  }

  /** From now on the client id is this connection's. */
  claim(connection: Connection, user: string): void {
    this.byId.set(connection.clientId, connection);
    const own = this.byUser.get(user);
    if (own === undefined) this.byUser.set(user, new Set([connection]));
    else own.add(connection);
  }

  leave(connection: Connection): void {
    if (this.byId.get(connection.clientId) === connection) this.byId.delete(connection.clientId);
    const user = connection.principal?.user;
    const own = user === undefined ? undefined : this.byUser.get(user);
    if (user !== undefined && own?.delete(connection) === true && own.size === 0) this.byUser.delete(user);
  }

  withId(clientId: string): Connection | undefined {
    return this.byId.get(clientId);
  }

  /** The connections of a user; of everybody without one. */
  of(user: string | null): Connection[] {
    if (user === null) return [...this.byId.values()];
    return [...(this.byUser.get(user) ?? [])];
  }

  isConnected(user: string): boolean {
    return this.byUser.has(user);
  }

  /** Closes who is silent beyond 1.5 × keep-alive ([MQTT-3.1.2-24]) or never sent a CONNECT ([M-15]). */
  sweep(now: number, connectTimeoutMs: number): void {
    if (this.isSweeping) return;
    this.closeSome(
      [...this.all].filter((connection) => overdue(connection, now, connectTimeoutMs) !== null),
      (connection) => overdue(connection, now, connectTimeoutMs),
    );
  }

  /** Waits for the peers to close, then cuts the sockets. */
  async cutOff(afterMs: number): Promise<void> {
    const deadline = elapsedMs() + afterMs;
    while (this.all.size > 0 && elapsedMs() < deadline) await setTimeout(10);
    for (const connection of this.all) connection.socket.destroy();
  }

  private closeSome(due: Connection[], reasonOf: (connection: Connection) => string | null): void {
    for (const connection of due.splice(-CLOSED_PER_TURN)) {
      // Asked again: it may have spoken meanwhile.
      const reason = reasonOf(connection);
      if (reason === null) continue;
      if (connection.isClosed) connection.socket.destroy();
      else connection.close(reason);
    }
    this.isSweeping = due.length > 0;
    if (this.isSweeping) setImmediate(() => this.closeSome(due, reasonOf));
  }

  *[Symbol.iterator](): Iterator<Connection> {
    yield* this.all;
  }
}

/** Why its time is over; null: it is not. */
function overdue(connection: Connection, now: number, connectTimeoutMs: number): string | null {
  const { state, leavingAt, keepAliveMs } = connection;
  if (state === 'closed') return now - connection.closedAt > CLOSING_MS ? 'closed' : null;
  if (state === 'connecting')
    return now - connection.openedAt > connectTimeoutMs ? 'no CONNECT in time' : null;
  if (leavingAt > 0) return now - leavingAt > CLOSING_MS ? 'disconnect' : null;
  const isWatched = state === 'open' && keepAliveMs > 0 && !connection.isUnread;
  return isWatched && now - connection.lastSeen > keepAliveMs * 1.5 ? 'keep alive' : null;
}

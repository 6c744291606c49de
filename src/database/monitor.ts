import { Client, type ClientConfig } from 'pg';
import { DomainError } from '../errors.js';
import { metrics } from '../operation/metrics.js';
import { asFailure, isOutOfResources, unavailable } from './failures.js';

export interface Listener {
  handler(payload: string): void;
  /** After every (re)connect: notifications may have been missed. */
  reset(): void;
}

export interface Monitor {
  readonly state: 'up' | 'down';
  readonly reason: string | null;
  onState(listener: (state: 'up' | 'down', reason: string | null) => void): () => void;
  ready(timeoutMs: number): Promise<void>;
  listen(channel: string, listener: Listener): Promise<() => Promise<void>>;
  /** A query failed: the database is down until a probe says otherwise. */
  suspect(error: unknown): void;
  close(): Promise<void>;
}

const probeEveryMs = 1_000;
const probeTimeoutMs = 2_000;
/** No room is not noticed by a probe: it counts as down for this long after the last complaint. */
const outOfResourcesMs = 2_000;

/** One connection of its own that listens for notifications and probes the server every second. */
export function createMonitor(connection: ClientConfig): Monitor {
  const listeners = new Map<string, Set<Listener>>();
  const stateListeners = new Set<(state: 'up' | 'down', reason: string | null) => void>();
  let reason: string | null = 'connecting';
  let client: Client | undefined;
  let noRoomUntil = 0;
  let closed = false;
  let probing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let nextProbeAt = Infinity;
  let turn: Promise<unknown> = Promise.resolve();

  function report(next: string | null): void {
    if (next === reason) return;
    const flipped = (next === null) !== (reason === null);
    reason = next;
    if (!flipped) return;
    metrics.databaseUp.set(next === null ? 1 : 0);
    for (const listener of stateListeners) listener(next === null ? 'up' : 'down', next);
  }

  async function connect(): Promise<Client> {
    const made = new Client({
      ...connection,
      connectionTimeoutMillis: probeTimeoutMs,
      query_timeout: probeTimeoutMs,
    });
    made.on('error', (error) => {
      if (client === made) client = undefined;
      suspect(error);
    });
    made.on('notification', ({ channel, payload = '' }) => {
      for (const listener of listeners.get(channel) ?? []) listener.handler(payload);
    });
    try {
      await made.connect();
      for (const channel of listeners.keys()) await made.query(`listen ${made.escapeIdentifier(channel)}`);
    } catch (error) {
      discard(made);
      throw error;
    }
    client = made;
    for (const group of listeners.values()) for (const listener of group) listener.reset();
    return made;
  }

  /** One statement at a time: pg is about to refuse queueing on a client. */
  function ask(current: Client, text: string): Promise<unknown> {
    turn = turn.catch(() => {}).then(() => current.query(text));
    return turn;
  }

  async function tell(what: 'listen' | 'unlisten', channel: string): Promise<void> {
    if (client === undefined) return;
    await ask(client, `${what} ${client.escapeIdentifier(channel)}`).catch(suspect);
  }

  async function probe(): Promise<void> {
    try {
      const current = client ?? (await connect());
      await ask(current, 'select 1');
      if (performance.now() >= noRoomUntil) report(null);
    } catch (error) {
      if (client !== undefined) discard(client);
      client = undefined;
      if (!closed) report(messageOf(error));
    }
  }

  function suspect(error: unknown): void {
    if (closed) return;
    if (isOutOfResources(error)) noRoomUntil = performance.now() + outOfResourcesMs;
    else probeIn(50); // it may have been that one connection only
    report(messageOf(error));
  }

  function probeIn(delayMs: number): void {
    const due = performance.now() + delayMs;
    if (closed || probing !== undefined || due >= nextProbeAt) return;
    nextProbeAt = due;
    clearTimeout(timer);
    timer = setTimeout(() => {
      nextProbeAt = Infinity;
      probing = probe().finally(() => {
        probing = undefined;
        probeIn(probeEveryMs);
      });
    }, delayMs);
  }

  probeIn(0);
  return {
    get state() {
      return reason === null ? 'up' : 'down';
    },
    get reason() {
      return reason;
    },
    onState(listener) {
      stateListeners.add(listener);
      return () => void stateListeners.delete(listener);
    },
    ready: (timeoutMs) =>
      new Promise<void>((resolve, reject) => {
        if (reason === null) return resolve();
        const stop = (): void => {
          stateListeners.delete(onState);
          clearTimeout(deadline);
        };
        const onState = (state: 'up' | 'down'): void => {
          if (state === 'down') return;
          stop();
          resolve();
        };
        const deadline = setTimeout(() => {
          stop();
          reject(
            new DomainError(
              'DATABASE_UNAVAILABLE',
              `The database did not answer within ${timeoutMs} ms: ${reason}.`,
            ),
          );
        }, timeoutMs);
        stateListeners.add(onState);
      }),
    async listen(channel, listener) {
      const group = listeners.get(channel) ?? new Set();
      listeners.set(channel, group);
      group.add(listener);
      // While disconnected there is nothing to do: the next connect listens to every channel that is known by then.
      await tell('listen', channel);
      return async () => {
        group.delete(listener);
        if (group.size > 0) return;
        listeners.delete(channel);
        await tell('unlisten', channel);
      };
    },
    suspect,
    async close() {
      closed = true;
      clearTimeout(timer);
      await probing;
      await client?.end();
    },
  };
}

function messageOf(error: unknown): string {
  const failure = asFailure(error);
  const message = failure instanceof DomainError ? failure.message : unavailable(error).message;
  return message.replace(/^The database is away: |\.$/g, '');
}

/** Without a goodbye: the server may be stopped. */
function discard(client: Client): void {
  client.removeAllListeners('notification');
  client.removeAllListeners('error');
  client.on('error', () => {});
  client.end().catch(() => {});
}

import type { SessionEvent } from '../broker/delivery.js';
import type { Database, Session } from '../database/database.js';

export interface Presence {
  /**
   * Writes who is connected. What could not be written stays remembered, one line per device, and goes with the next
   * call or as soon as the database is back. @throws DomainError DATABASE_UNAVAILABLE
   */
  record(events: readonly SessionEvent[]): Promise<void>;
  /** At start: whoever this instance had connected when it was killed is offline. */
  clear(): Promise<void>;
  close(): void;
}

interface Line {
  readonly online: boolean;
  /** Unix ms. */
  readonly at: number;
}

export function createPresence(database: Database, instanceId: string): Presence {
  const clients = new Map<string, Set<string>>();
  let pending = new Map<string, Line>();
  let writing: Promise<void> = Promise.resolve();

  function note({ event, device_id: id, client_id: client, reason, at }: SessionEvent): void {
    if (id === null || event === 'refused' || event === 'subscribed') return;
    const connected = clients.get(id) ?? new Set();
    if (event === 'connected') connected.add(client);
    // The one that took over has the same name and may have been reported already.
    else if (reason !== 'taken over') connected.delete(client);
    if (connected.size > 0) clients.set(id, connected);
    else clients.delete(id);
    pending.set(id, { online: connected.size > 0, at });
  }

  async function write(): Promise<void> {
    if (pending.size === 0) return;
    const lines = pending;
    pending = new Map();
    try {
      await updatePresence(database, instanceId, lines);
    } catch (error) {
      pending = new Map([...lines, ...pending]);
      throw error;
    }
  }

  /** In order: an older write must not overtake a newer one. */
  function flush(): Promise<void> {
    writing = writing.catch(() => {}).then(write);
    return writing;
  }

  const stop = database.onState((state) => {
    if (state === 'up') flush().catch(() => {}); // still pending
  });

  return {
    record(events) {
      for (const event of events) note(event);
      return flush();
    },
    clear: () => clearPresence(database, instanceId),
    close: stop,
  };
}

/** A device that meanwhile came to another instance stays there. */
async function updatePresence(
  session: Session,
  instanceId: string,
  lines: ReadonlyMap<string, Line>,
): Promise<void> {
  await session.query({
    name: 'update_presence',
    text: `update devices d set
             connected_instance = case when e.online then $1
               when d.connected_instance is distinct from $1 then d.connected_instance end,
             status = case when e.online then 'online'
               when d.connected_instance is distinct from $1 then d.status else 'offline' end,
             last_seen_at = greatest(d.last_seen_at, e.at)
           from unnest($2::text[], $3::boolean[], $4::timestamptz[]) as e (id, online, at)
           where d.id = e.id`,
    values: [
      instanceId,
      [...lines.keys()],
      [...lines.values()].map(({ online }) => online),
      [...lines.values()].map(({ at }) => new Date(at).toISOString()),
    ],
  });
}

async function clearPresence(session: Session, instanceId: string): Promise<void> {
  await session.query({
    text: `update devices set connected_instance = null, status = 'offline' where connected_instance = $1`,
    values: [instanceId],
  });
}

import type { MqttClient } from 'mqtt';
import { deferred, type Deferred } from '../batches/deferred.js';
import { covers } from '../devices/access.js';
import { DomainError } from '../errors.js';

/**
 * Called with each message under the filter, in the order of arrival; `isRetained`: it was published before the
 * subscription. It must not throw.
 */
export type MessageListener = (topic: string, payload: Buffer, isRetained: boolean) => void;

/** The subscriptions of one connection: one per filter, however many listen, and made again after a reconnect. */
export interface Subscriptions {
  /** Counts as one listener more from now on; `granted` resolves with the broker's SUBACK. */
  add(
    filter: string,
    listener: MessageListener,
  ): { readonly granted: Promise<void>; readonly end: () => Promise<void> };
}

interface Entry {
  readonly filter: string;
  readonly listeners: Set<MessageListener>;
  /** Settled by the SUBACK; a new one once that connection is lost. */
  granted: Deferred<void>;
  isAnswered: boolean;
  /** The UNSUBACK of the same filter that is still to come: what is subscribed before it might be undone by it. */
  leaving: Promise<void> | undefined;
}

/** Filters of one SUBSCRIBE: whatever is wanted in the same moment travels together. */
const filtersMax = 50;

export function createSubscriptions(client: MqttClient, broker: string): Subscriptions {
  const entries = new Map<string, Entry>();
  /** Told when the connection closes: no UNSUBACK will come. */
  const leaving = new Set<() => void>();
  let wildcards = 0;
  let wanted: Entry[] = [];
  let gathering = false;

  client.on('message', (topic, payload, { retain }) => {
    for (const listener of entries.get(topic)?.listeners ?? []) listener(topic, payload, retain);
    if (wildcards === 0) return;
    for (const { filter, listeners } of entries.values())
      if (isWildcard(filter) && covers(filter, topic))
        for (const listener of listeners) listener(topic, payload, retain);
  });
  client.on('close', () => {
    for (const left of leaving) left();
    for (const entry of entries.values()) if (entry.isAnswered) expect(entry);
  });
  client.on('connect', () => {
    // A clean session knows none of them.
    wanted = [...entries.values()].filter(({ listeners }) => listeners.size > 0);
    send();
  });

  function want(entry: Entry): void {
    wanted.push(entry);
    if (gathering) return;
    gathering = true;
    setImmediate(() => {
      gathering = false;
      send();
    });
  }

  /** Without a connection they wait for the next one, and their listeners for their own deadline. */
  function send(): void {
    if (!client.connected) return;
    const all = [...new Set(wanted)].filter(({ listeners }) => listeners.size > 0);
    wanted = [];
    for (let from = 0; from < all.length; from += filtersMax) subscribe(all.slice(from, from + filtersMax));
  }

  function subscribe(some: readonly Entry[]): void {
    const answers = some.map(({ granted }) => granted);
    client.subscribe(
      some.map(({ filter }) => filter),
      { qos: 1 },
      (error, _subscriptions, packet) => {
        // No SUBACK: the connection broke, and the next one tries again.
        if (packet?.granted === undefined) return;
        some.forEach((entry, index) => {
          const { filter } = entry;
          if (entry.granted === answers[index]) entry.isAnswered = true;
          const code = packet.granted?.[index];
          const refused = code === undefined || (typeof code === 'number' && (code & 0x80) !== 0);
          if (refused) answers[index]?.reject(refusal(filter, broker, error));
          else answers[index]?.resolve();
        });
      },
    );
  }

  function begin(filter: string): Entry {
    const entry: Entry = {
      filter,
      listeners: new Set(),
      granted: grant(),
      isAnswered: false,
      leaving: undefined,
    };
    entries.set(filter, entry);
    if (isWildcard(filter)) wildcards += 1;
    return entry;
  }

  /** Resolves with the UNSUBACK, or when there is no connection any more that could bring it. */
  async function leave(entry: Entry): Promise<void> {
    expect(entry);
    const left = deferred<void>();
    leaving.add(left.resolve);
    if (client.connected) client.unsubscribe(entry.filter, () => left.resolve());
    else left.resolve();
    await left.promise;
    leaving.delete(left.resolve);
    entry.leaving = undefined;
    if (entry.listeners.size > 0) return want(entry);
    entries.delete(entry.filter);
    if (isWildcard(entry.filter)) wildcards -= 1;
  }

  return {
    add(filter, listener) {
      const entry = entries.get(filter) ?? begin(filter);
      // Each listener counts by itself, also when somebody listens twice with one function.
      const own: MessageListener = (topic, payload, isRetained) => listener(topic, payload, isRetained);
      entry.listeners.add(own);
      if (entry.listeners.size === 1 && entry.leaving === undefined) want(entry);
      const { granted } = entry;
      return {
        granted: granted.promise,
        async end() {
          if (entry.listeners.delete(own) && entry.listeners.size === 0)
            await (entry.leaving ?? leave(entry));
        },
      };
    },
  };
}

function expect(entry: Entry): void {
  entry.granted = grant();
  entry.isAnswered = false;
}

/** Nobody may be waiting for it any more when it is refused. */
function grant(): Deferred<void> {
  const granted = deferred<void>();
  granted.promise.catch(() => {});
  return granted;
}

function refusal(filter: string, broker: string, cause: unknown): DomainError {
  return new DomainError(
    'SUBSCRIPTION_REFUSED',
    `The broker at ${broker} refuses a subscription to ${filter}.`,
    {
      cause,
    },
  );
}

function isWildcard(filter: string): boolean {
  return /[+#]/.test(filter);
}

import { Readable } from 'node:stream';

/** The part of aedes' in-memory persistence that is bounded and corrected here. */
export interface Persistence {
  outgoingEnqueue(sub: Subscriber, message: Stored): Promise<void>;
  outgoingEnqueueCombi(subs: Subscriber[], message: Stored): Promise<void>;
  outgoingClearMessageId(client: { id: string }, message: Stored): Promise<Stored | undefined>;
  outgoingStream(client: { id: string }): Readable;
  addSubscriptions(client: { id: string }, subs: { topic: string }[]): Promise<void>;
  cleanSubscriptions(client: { id: string }): Promise<void>;
}

interface Subscriber {
  readonly clientId: string;
}

interface Stored {
  cmd?: string;
  messageId?: number;
  dup?: boolean;
}

/**
 * Gives aedes' queues for absent clients a bound, marks what is sent again as DUP ([MQTT-3.3.1-1]), and stores no
 * subscription that was denied (aedes stores a SUBSCRIBE whole when one of its filters is granted).
 */
export function boundQueues(
  persistence: Persistence,
  messagesMax: number,
  isGranted: (clientId: string, filter: string) => boolean,
): { drop(clientId: string): Promise<void> } {
  const counts = new Map<string, number>();
  const enqueue = persistence.outgoingEnqueue.bind(persistence);
  const enqueueCombi = persistence.outgoingEnqueueCombi.bind(persistence);
  const clear = persistence.outgoingClearMessageId.bind(persistence);
  const stream = persistence.outgoingStream.bind(persistence);
  const add = persistence.addSubscriptions.bind(persistence);

  function hasRoom({ clientId }: Subscriber): boolean {
    const count = counts.get(clientId) ?? 0;
    if (count >= messagesMax) return false;
    counts.set(clientId, count + 1);
    return true;
  }

  persistence.outgoingEnqueue = async (sub, message) => (hasRoom(sub) ? enqueue(sub, message) : undefined);
  persistence.outgoingEnqueueCombi = async (subs, message) => enqueueCombi(subs.filter(hasRoom), message);
  persistence.outgoingClearMessageId = async (client, message) => {
    // aedes asks for clean sessions too and would keep an empty list for every client id ever seen.
    if (!counts.has(client.id)) return undefined;
    const cleared = await clear(client, message);
    if (cleared !== undefined) {
      const count = (counts.get(client.id) ?? 1) - 1;
      if (count > 0) counts.set(client.id, count);
      else counts.delete(client.id);
    }
    return cleared;
  };
  persistence.outgoingStream = (client) => Readable.from(marked(stream(client)));
  persistence.addSubscriptions = async (client, subs) =>
    add(
      client,
      subs.filter(({ topic }) => isGranted(client.id, topic)),
    );

  return {
    async drop(clientId) {
      const client = { id: clientId };
      await persistence.cleanSubscriptions(client);
      for await (const message of stream(client))
        await persistence.outgoingClearMessageId(client, message as Stored);
    },
  };
}

/** A message that has a packet id was sent before. */
async function* marked(messages: Readable): AsyncGenerator<Stored> {
  for await (const message of messages) {
    const stored = message as Stored;
    if (stored.cmd === 'publish' && stored.messageId !== undefined) stored.dup = true;
    yield stored;
  }
}

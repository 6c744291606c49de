import type { MqttClient } from 'mqtt';
import { deferred } from '../batches/deferred.js';
import type { Publication } from './link.js';

/** Publications on their way, sent one behind the other without waiting in between. */
export interface Sending {
  /** Resolves when all are acknowledged; rejects with the first that fails, or when the connection is lost. */
  readonly all: Promise<unknown>;
  /** How many from the first on are acknowledged: what comes behind a missing one does not count. */
  acknowledged(): number;
  /** What is not acknowledged by now is never sent again, not even after a reconnect. */
  giveUp(): void;
}

export function sendInOrder(client: MqttClient, publications: readonly Publication[]): Sending {
  const isAcknowledged = publications.map(() => false);
  const messageIds: (number | undefined)[] = [];
  const sent = publications.map(async ({ topic, payload, qos, retain }, index) => {
    const before = client.getLastMessageId();
    const acknowledgement = client.publishAsync(topic, payload, { qos, retain });
    const id = client.getLastMessageId();
    messageIds.push(id === before ? undefined : id);
    await acknowledgement;
    isAcknowledged[index] = true;
  });
  // mqtt.js would send them again after a reconnect, one after the answer to another; whoever sends has them, too.
  const lost = deferred<never>();
  const onClose = (): void => lost.reject(new Error('the connection was lost'));
  client.once('close', onClose);
  const all = Promise.race([Promise.all(sent), lost.promise]).finally(() => client.off('close', onClose));
  // Whoever gave up does not wait for them.
  for (const one of [...sent, all]) one.catch(() => {});
  return {
    all,
    acknowledged() {
      const missing = isAcknowledged.indexOf(false);
      return missing === -1 ? publications.length : missing;
    },
    giveUp() {
      messageIds.forEach((id, index) => {
        if (id !== undefined && isAcknowledged[index] === false) client.removeOutgoingMessage(id);
      });
    },
  };
}

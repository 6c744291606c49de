import type { NodeAPI, NodeDef } from 'node-red';
import type { Delivery } from '../src/broker/delivery.js';
import type { Database } from '../src/database/database.js';
import { createMessageStore } from '../src/messages/message-store.js';
import { defineNode } from './define-node.js';
import { hold, release, settle } from './held.js';
import { outcome } from './outcome.js';
import { showProgress } from './progress.js';

interface Config extends NodeDef {
  database: string;
}

/** Keeps what a device said with QoS 1 or 2 and no other table keeps; QoS 0 passes through unstored. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'kept'>(RED, {
    type: 'message-store',
    outputs: ['kept'],
    start(config, host) {
      const database = host.use<Database>(config.database, 'database');
      const store = createMessageStore(database);
      const progress = showProgress(host, ['kept'], database);
      return {
        async input(message, emit) {
          const messages = message.payload as readonly Delivery[];
          hold(messages);
          progress.begin(messages.length);
          try {
            await store.keep(messages, { signal: host.signal });
            settle(messages);
            progress.count('kept', messages.length);
            emit({ kept: outcome(message, 'kept', messages) });
          } catch (error) {
            release(messages);
            throw error;
          } finally {
            progress.end(messages.length);
          }
        },
        close: () => progress.stop(),
      };
    },
  });
}

import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import type { SessionEvent } from '../src/broker/delivery.js';
import { untilCommitted, type Database } from '../src/database/database.js';
import { createPresence, type Presence } from '../src/devices/presence.js';
import { defineNode } from './define-node.js';
import { outcome } from './outcome.js';
import { showProgress } from './progress.js';
import { textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  instance: string;
}

/** Writes who is connected, and to which instance, into the registry. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'recorded'>(RED, {
    type: 'device-presence',
    outputs: ['recorded'],
    start(config, host) {
      const database = host.use<Database>(config.database, 'database');
      const instance = textSetting(config.instance, hostname());
      const presence = createPresence(database, instance);
      const progress = showProgress(host, ['recorded'], database);
      const cleared = clearOnce(database, instance, presence, host.signal);
      // `input` reports it.
      cleared.catch(() => undefined);
      return {
        async input(message, emit) {
          const events = message.payload as readonly SessionEvent[];
          await cleared;
          await presence.record(events);
          progress.count('recorded', events.length);
          emit({ recorded: outcome(message, 'recorded', events) });
        },
        close() {
          progress.stop();
          presence.close();
        },
      };
    },
  });
}

/** Connections outlive a redeploy, so what an earlier life left behind is cleared once in the life of the process. */
const clearedInstances = new Set<string>();

async function clearOnce(
  database: Database,
  instance: string,
  presence: Presence,
  signal: AbortSignal,
): Promise<void> {
  const key = `${instance} ${database.url}`;
  if (clearedInstances.has(key)) return;
  await untilCommitted(database, () => presence.clear(), { signal });
  clearedInstances.add(key);
}

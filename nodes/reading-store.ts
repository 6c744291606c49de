import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { keepPartitionsAhead } from '../src/readings/partitions.js';
import type { Reading } from '../src/readings/reading.js';
import { createReadingWriter } from '../src/readings/writer.js';
import { defineNode } from './define-node.js';
import { hold, release, settleParts } from './held.js';
import { outcome } from './outcome.js';
import { withPatience } from './patience.js';
import { showProgress } from './progress.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  spacingSeconds: string;
  batchMax: string;
  lanes: string;
}

/** Commits readings; the acknowledgement of what is stored or known leaves after the commit ([M-13]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'stored' | 'duplicate' | 'rejected'>(RED, {
    type: 'reading-store',
    outputs: ['stored', 'duplicate', 'rejected'],
    start(config, host) {
      const database = host.use<Database>(config.database, 'database');
      const writer = createReadingWriter(database, limitsOf(config));
      const progress = showProgress(host, ['stored', 'duplicate', 'rejected'], database);
      const partitions = keepPartitionsAhead(database);
      return {
        async input(message, emit) {
          const readings = message.payload as readonly Reading[];
          hold(readings);
          progress.begin(readings.length);
          try {
            const { stored, duplicate, rejected } = await withPatience(message, host.signal, (wait) =>
              writer.store(readings, wait),
            );
            settleParts(stored);
            settleParts(duplicate);
            // Theirs is the quarantine now, and the flow's deadline until it holds them.
            release(rejected);
            progress.count('stored', stored.length);
            progress.count('duplicate', duplicate.length);
            progress.count('rejected', rejected.length);
            // One send per output: in a send of several, Node-RED clones all but the first.
            if (stored.length > 0) emit({ stored: outcome(message, 'stored', stored) });
            if (duplicate.length > 0) emit({ duplicate: outcome(message, 'duplicate', duplicate) });
            if (rejected.length > 0) emit({ rejected: outcome(message, 'rejected', rejected) });
          } catch (error) {
            release(readings);
            throw error;
          } finally {
            progress.end(readings.length);
          }
        },
        close() {
          progress.stop();
          partitions.stop();
        },
      };
    },
  });
}

function limitsOf(config: Config): { spacingSeconds: number; batchMax: number; lanes: number } {
  const whole = true;
  return {
    spacingSeconds: numberSetting(config.spacingSeconds, 900, {
      name: 'Spacing',
      min: 0,
      max: 86_400,
      whole,
    }),
    batchMax: numberSetting(config.batchMax, 2000, { name: 'Rows per commit', min: 1, max: 10_000, whole }),
    lanes: numberSetting(config.lanes, 2, { name: 'Lanes', min: 1, max: 16, whole }),
  };
}

import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { createQuarantine } from '../src/readings/quarantine.js';
import type { Rejection } from '../src/readings/reading.js';
import { defineNode } from './define-node.js';
import { hold, release, settleRefused } from './held.js';
import { outcome } from './outcome.js';
import { showProgress } from './progress.js';

interface Config extends NodeDef {
  database: string;
}

/** Keeps what was refused, with code and payload, and only then lets the acknowledgement go ([M-14]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'quarantined'>(RED, {
    type: 'message-quarantine',
    outputs: ['quarantined'],
    start(config, host) {
      const database = host.use<Database>(config.database, 'database');
      const quarantine = createQuarantine(database);
      const progress = showProgress(host, ['quarantined'], database);
      return {
        async input(message, emit) {
          const rejections = message.payload as readonly Rejection[];
          hold(rejections);
          progress.begin(rejections.length);
          try {
            await quarantine.keep(rejections, { signal: host.signal });
            settleRefused(rejections);
            progress.count('quarantined', rejections.length);
            emit({ quarantined: outcome(message, 'quarantined', rejections) });
          } catch (error) {
            release(rejections);
            throw error;
          } finally {
            progress.end(rejections.length);
          }
        },
        close: () => progress.stop(),
      };
    },
  });
}

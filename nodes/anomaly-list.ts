import type { NodeAPI, NodeDef } from 'node-red';
import { createAnomalies } from '../src/anomalies/anomalies.js';
import type { Database } from '../src/database/database.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import { asksFor } from './request.js';

interface Config extends NodeDef {
  database: string;
}

/** Lists what anomaly-watch noticed, by page ([H-23]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'anomaly-list',
    outputs: ['result', 'refused'],
    start(config, host) {
      const anomalies = createAnomalies(host.use<Database>(config.database, 'database'));
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          await answers.serve('list', message, emit, async () => ({
            payload: await anomalies.list(asksFor(message).query),
          }));
        },
      };
    },
  });
}

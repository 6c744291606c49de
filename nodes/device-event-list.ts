import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { createEventLog } from '../src/events/event-log.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import { asksFor } from './request.js';

interface Config extends NodeDef {
  database: string;
}

/** What happened to devices, from any place in the log on: GET /api/device-events. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'device-event-list',
    outputs: ['result', 'refused'],
    start(config, host) {
      const log = createEventLog(host.use<Database>(config.database, 'database'));
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          await answers.serve('list', message, emit, async () => ({
            payload: await log.read(asksFor(message).query),
          }));
        },
      };
    },
  });
}

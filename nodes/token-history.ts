import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { createInjectionHistory, type InjectionHistory } from '../src/tokens/history.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import { asksFor, operationOf, type Request } from './request.js';

interface Config extends NodeDef {
  database: string;
  operation: string;
  operationType: 'operation' | 'msg';
}

/** Token injections as they were recorded ([H-11]): a page of them, or one. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'token-history',
    outputs: ['result', 'refused'],
    start(config, host) {
      const history = createInjectionHistory(host.use<Database>(config.database, 'database'));
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          await answers.serve(name, message, emit, async () => ({
            payload: await operation(history, asksFor(message)),
          }));
        },
      };
    },
  });
}

const operations: Readonly<
  Record<string, (history: InjectionHistory, request: Request) => Promise<unknown>>
> = {
  list: (history, { query }) => history.list(query),
  one: (history, { id }) => history.one(id),
};

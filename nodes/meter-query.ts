import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import { createReadingQueries, type ReadingQueries } from '../src/readings/queries.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import { answer, refusal } from './outcome.js';
import { asksFor, chosenOperation, type Request } from './request.js';

interface Config extends NodeDef {
  database: string;
  operation: string;
  operationType: 'operation' | 'msg';
}

/** Asks for stored readings: one question per node, or named by the message. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'meter-query',
    outputs: ['result', 'refused'],
    start(config, host) {
      const queries = createReadingQueries(host.use<Database>(config.database, 'database'));
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const name = chosenOperation(RED, config, message);
          const question = questions[name];
          if (question === undefined) throw new DomainError('CONFIGURATION', `No question "${name}"`);
          const begun = performance.now();
          try {
            const result = answer(message, 'result', 200, await question(queries, asksFor(message)));
            answers.show(name, 200, performance.now() - begun);
            emit({ result });
          } catch (error) {
            const refused = refusal(message, error);
            answers.show(name, Number(refused['statusCode']), performance.now() - begun);
            emit({ refused });
          }
        },
      };
    },
  });
}

const questions: Readonly<
  Record<string, ((queries: ReadingQueries, request: Request) => Promise<unknown>) | undefined>
> = {
  latest: (queries, { query }) => queries.latest(query),
  'latest-of': (queries, { id }) => queries.latestOf(id),
  range: (queries, { id, query }) => queries.range(id, query),
  'last-day': (queries, { id }) => queries.lastDayOf(id),
  meters: (queries) => queries.meters(),
};

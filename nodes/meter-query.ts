import type { NodeAPI, NodeDef } from 'node-red';
import { cachedAnswers, type CachedAnswers } from '../src/cache/answers.js';
import type { Asked } from '../src/cache/cache.js';
import type { Database } from '../src/database/database.js';
import type { Caller } from '../src/devices/audit.js';
import { balanceOf } from '../src/ledger/balance.js';
import { statementOf } from '../src/ledger/statement.js';
import { createReadingQueries, type ReadingQueries } from '../src/readings/queries.js';
import { createStatistics, type Counted, type Statistics } from '../src/statistics/statistics.js';
import { showAnswers, type Served } from './answers.js';
import { defineNode } from './define-node.js';
import type { CacheResource } from './meter-cache.js';
import { asksFor, callerOf, operationOf, ownerShown, type Request } from './request.js';
import { textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  /** Absent in flows that were made before there was one. */
  cache?: string;
  operation: string;
  operationType: 'operation' | 'msg';
}

/** Asks for readings, statistics and balances: one question per node, or named by the message. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'meter-query',
    outputs: ['result', 'refused'],
    start(config, host) {
      const database = host.use<Database>(config.database, 'database');
      const readings = createReadingQueries(database);
      const statistics = createStatistics(database);
      const cache =
        textSetting(config.cache, '') === ''
          ? null
          : host.use<CacheResource>(textSetting(config.cache, ''), 'cache').of(database);
      const cached = cachedAnswers(cache, database, readings, statistics);
      const house: House = { database, readings, statistics, cached };
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation: question } = operationOf(RED, config, message, questions);
          await answers.serve(name, message, emit, () =>
            question(house, asksFor(message), callerOf(message), ownerShown(message)),
          );
        },
      };
    },
  });
}

interface House {
  readonly database: Database;
  readonly readings: ReadingQueries;
  readonly statistics: Statistics;
  readonly cached: CachedAnswers;
}

type Question = (house: House, request: Request, caller: Caller, owner: string | null) => Promise<Served>;

const questions: Readonly<Record<string, Question>> = {
  latest: async ({ readings }, { query }, _, owner) => ({ payload: await readings.latest(query, owner) }),
  'latest-of': async ({ cached }, { id }) => told(await cached.latestOf(id)),
  range: async ({ cached }, { id, query }) => told(await cached.range(id, query)),
  'last-day': async ({ readings }, { id }) => ({ payload: await readings.lastDayOf(id) }),
  hourly: async ({ statistics }, { id, query }) => counted(await statistics.hourly(id, query)),
  daily: async ({ statistics }, { id, query }) => counted(await statistics.daily(id, query)),
  statistics: async ({ cached }, _, caller) => told(await cached.totals(caller)),
  own: async ({ cached }, { query }, caller) => told(await cached.own(caller, query)),
  meters: async ({ readings }) => ({ payload: await readings.meters() }),
  balance: async ({ database }, { id }) => ({ payload: await balanceOf(database, id) }),
  statement: async ({ database }, { id, query }) => ({ payload: await statementOf(database, id, query) }),
};

/** The rows alone, as [H-9] has them; how many there are on all pages stands beside them. */
function counted({ rows, total }: Counted<unknown>): Served {
  return { payload: rows, headers: { 'X-Total-Count': String(total) } };
}

function told({ answer: payload, cache }: Asked<unknown>): Served {
  return cache === null ? { payload } : { payload, headers: { 'X-Cache': cache } };
}

import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import type { Caller } from '../src/devices/audit.js';
import { createLedgerDesk, type LedgerDesk } from '../src/ledger/desk.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import { asksFor, callerOf, operationOf, ownerShown, type Request } from './request.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  operation: string;
  operationType: 'operation' | 'msg';
  lowUnits: string;
}

/** Balances, statements, payments, suspense, tariffs: one operation per node, or named by the message. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'meter-ledger',
    outputs: ['result', 'refused'],
    start(config, host) {
      const desk = createLedgerDesk(host.use<Database>(config.database, 'database'), {
        lowUnits: numberSetting(config.lowUnits, 1, { name: 'Low balance', min: 0, max: 1_000_000 }),
      });
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          const status = created.has(name) ? 201 : 200;
          await answers.serve(name, message, emit, async () => ({
            payload: await operation(desk, asksFor(message), callerOf(message), ownerShown(message)),
            status,
          }));
        },
      };
    },
  });
}

type Operation = (
  desk: LedgerDesk,
  request: Request,
  caller: Caller,
  owner: string | null,
) => Promise<unknown>;

const created: ReadonlySet<string> = new Set(['add-tariff', 'charge']);

const operations: Readonly<Record<string, Operation>> = {
  balance: (desk, { id }) => desk.balance(id),
  statement: (desk, { id, query }) => desk.statement(id, query),
  history: (desk, { id, query }) => desk.history(id, query),
  meter: (desk, { id }) => desk.meter(id),
  meters: (desk, { query }) => desk.meters(query),
  totals: (desk) => desk.totals(),
  drifts: (desk, { query }) => desk.drifts(query),
  payments: (desk, { query }, _, owner) => desk.payments(query, owner),
  suspense: (desk, { query }) => desk.suspense(query),
  allocate: (desk, { id, body }, caller) => desk.allocate(id, body, caller),
  'credit-disputed': (desk, { id, body }, caller) => desk.creditDisputed(id, body, caller),
  reverse: (desk, { id, body }, caller) => desk.reverse(id, body, caller),
  charge: (desk, { id, body }, caller) => desk.charge(id, body, caller),
  tariffs: (desk, { query }) => desk.tariffs(query),
  'add-tariff': (desk, { body }, caller) => desk.addTariff(body, caller),
};

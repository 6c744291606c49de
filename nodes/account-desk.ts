import type { NodeAPI, NodeDef } from 'node-red';
import { createAccounts, type Accounts } from '../src/callers/accounts.js';
import { createApiKeys, type ApiKeys } from '../src/callers/api-keys.js';
import type { Caller } from '../src/devices/audit.js';
import { DomainError } from '../src/errors.js';
import { showAnswers, type Served } from './answers.js';
import { defineNode, type Message } from './define-node.js';
import type { CallersResource } from './meter-callers.js';
import { asksFor, callerOf, operationOf, type Request } from './request.js';

interface Config extends NodeDef {
  callers: string;
  operation: string;
  operationType: 'operation' | 'msg';
}

/** Accounts of people and keys of machines ([H-17]): one operation per node, or named by the message. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'account-desk',
    outputs: ['result', 'refused'],
    start(config, host) {
      const { callers, passwords, database } = host.use<CallersResource>(
        config.callers,
        'configuration of callers',
      );
      const desk: Desk = {
        users: createAccounts(database, { passwords, passwordNeeded: callers.tokens.issue !== null }),
        keys: createApiKeys(database),
      };
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          await answers.serve(name, message, emit, async () => {
            // Also without a guard in front: widgets of the dashboard have none.
            const caller = adminOf(message);
            return operation(desk, asksFor(message), caller);
          });
        },
      };
    },
  });
}

interface Desk {
  readonly users: Accounts;
  readonly keys: ApiKeys;
}

type Operation = (desk: Desk, request: Request, caller: Caller) => Promise<Served>;

const operations: Readonly<Record<string, Operation>> = {
  'list-users': async ({ users }, { query }) => ({ payload: await users.list(query) }),
  'show-user': async ({ users }, { id }) => ({ payload: await users.one(id) }),
  'add-user': async ({ users }, { body }, caller) => ({
    payload: await users.add(body, caller),
    status: 201,
  }),
  'change-user': async ({ users }, { id, body }, caller) => ({
    payload: await users.change(id, body, caller),
  }),
  'list-keys': async ({ keys }, { query }) => ({ payload: await keys.list(query) }),
  'add-key': async ({ keys }, { body }, caller) => ({ payload: await keys.add(body, caller), status: 201 }),
  'revoke-key': async ({ keys }, { id }, caller) => ({ payload: await keys.revoke(id, caller) }),
};

function adminOf(message: Message): Caller {
  const caller = callerOf(message);
  if (caller.role === 'admin') return caller;
  throw new DomainError('FORBIDDEN', 'Only an admin may look after accounts and keys.');
}

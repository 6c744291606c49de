import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { createRegistry, type Caller, type Registry } from '../src/devices/registry.js';
import { defineNode } from './define-node.js';
import { showAnswers } from './answers.js';
import { asksFor, callerOf, operationOf, ownerShown, type Request } from './request.js';

interface Config extends NodeDef {
  database: string;
  operation: string;
  operationType: 'operation' | 'msg';
}

/** The registry as a node: one operation per node, or named by the message. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'device-registry',
    outputs: ['result', 'refused'],
    start(config, host) {
      const registry = createRegistry(host.use<Database>(config.database, 'database'));
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          await answers.serve(name, message, emit, async () => ({
            payload: await operation(registry, asksFor(message), callerOf(message), ownerShown(message)),
          }));
        },
      };
    },
  });
}

type Operation = (
  registry: Registry,
  request: Request,
  caller: Caller,
  owner: string | null,
) => Promise<unknown>;

const operations: Readonly<Record<string, Operation>> = {
  async create(registry, { body }, caller) {
    const { device, mqtt_password } = await registry.create(body, caller);
    return { ...device, mqtt_password };
  },
  list: (registry, { query }, _, owner) => registry.list(query, owner),
  get: (registry, { id }) => registry.get(id),
  update: (registry, { id, body }, caller) => registry.update(id, body, caller),
  remove: (registry, { id }, caller) => registry.remove(id, caller),
  'reset-password': (registry, { id, body }, caller) => registry.resetPassword(id, caller, body),
  count: (registry) => registry.count(),
};

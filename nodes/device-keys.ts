import type { NodeAPI, NodeDef } from 'node-red';
import type { Caller } from '../src/devices/audit.js';
import type { DeviceKeys } from '../src/devices/keys/device-keys.js';
import { createRequestLimit } from '../src/devices/keys/request-limit.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import type { KeyringResource } from './meter-keyring.js';
import { asksFor, callerOf, operationOf, type Request } from './request.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  keyring: string;
  operation: string;
  operationType: 'operation' | 'msg';
  perMinute: string;
}

/** Signing keys as a node: one operation per node, or named by the message. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'device-keys',
    outputs: ['result', 'refused'],
    start(config, host) {
      const limit = createRequestLimit(perMinuteOf(config));
      const { keys } = host.use<KeyringResource>(config.keyring, 'keyring');
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          await answers.serve(name, message, emit, async () => {
            const caller = callerOf(message);
            // The limit is for strangers of the API; a message of a flow or of the dashboard is the house's own.
            if (operation.isLimited && message['req'] !== undefined)
              await limit.admit(caller.address ?? null);
            const payload = await operation.run(keys, asksFor(message), caller);
            return { payload, status: operation.status };
          });
        },
      };
    },
  });
}

interface Operation {
  readonly status: number;
  /** Looking is not counted. */
  readonly isLimited: boolean;
  run(keys: DeviceKeys, request: Request, caller: Caller): Promise<unknown>;
}

const operations: Readonly<Record<string, Operation>> = {
  register: { status: 201, isLimited: true, run: (keys, { body }, caller) => keys.register(body, caller) },
  rotate: {
    status: 200,
    isLimited: true,
    run: (keys, { id, body }, caller) => keys.rotate(id, body, caller),
  },
  revoke: { status: 200, isLimited: true, run: (keys, { id }, caller) => keys.revoke(id, caller) },
  list: { status: 200, isLimited: false, run: (keys, { id }) => keys.list(id) },
};

function perMinuteOf(config: Config): number | undefined {
  if (textSetting(config.perMinute, 'unlimited') === 'unlimited') return undefined;
  return numberSetting(config.perMinute, 1, { name: 'Per minute', min: 1, max: 1_000_000, whole: true });
}

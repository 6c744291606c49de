import type { NodeAPI, NodeDef } from 'node-red';
import { errorAnswer, ownErrorAnswer, type OwnCode } from '../src/http/errors.js';
import { defineNode } from './define-node.js';
import { answer } from './outcome.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  /** Error codes of the integrator's own, with the status that they answer, and when to come back ('': as usual). */
  codes: {
    readonly code: string;
    readonly status: string | number;
    readonly retryAfterSeconds?: string | number;
  }[];
}

/** Behind a Catch: turns what it caught into the API's error answer; an unknown failure tells nothing of itself. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'response'>(RED, {
    type: 'api-error',
    outputs: ['response'],
    start(config, host) {
      const own = ownCodes(config.codes ?? []);
      host.status('idle', 'ready');
      return {
        input(message, emit) {
          const { status, headers, body } =
            ownErrorAnswer(own, message['error']) ?? errorAnswer(message['error']);
          host.status(status >= 500 ? 'error' : 'warning', `${status} ${body.error.code}`);
          // The answer says nothing of it, and what Catch takes is not logged by Node-RED.
          if (body.error.code === 'INTERNAL') host.node.error(describe(message['error']));
          emit({ response: { ...answer(message, 'response', status, body), headers: { ...headers } } });
        },
      };
    },
  });
}

function ownCodes(rows: Config['codes']): Map<string, OwnCode> {
  const whole = true;
  return new Map(
    rows.map(({ code, status, retryAfterSeconds = '' }) => [
      code,
      {
        status: numberSetting(status, 500, { name: code, min: 400, max: 599, whole }),
        retryAfterSeconds:
          retryAfterSeconds === ''
            ? undefined
            : numberSetting(retryAfterSeconds, 0, {
                name: `Retry after of ${code}`,
                min: 0,
                max: 86_400,
                whole,
              }),
      },
    ]),
  );
}

/** What Catch hands on: the message, and the node that it came from. */
function describe(error: unknown): string {
  const { message, source } = (error ?? {}) as {
    message?: unknown;
    source?: { name?: string; type?: string };
  };
  return `${source?.name ?? source?.type ?? 'a node'}: ${String(message)}`;
}

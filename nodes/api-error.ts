import type { NodeAPI, NodeDef } from 'node-red';
import { errorAnswer, type ErrorAnswer } from '../src/http/errors.js';
import { defineNode } from './define-node.js';
import { answer } from './outcome.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  /** Error codes of the integrator's own, with the status that they answer. */
  codes: { readonly code: string; readonly status: string | number }[];
}

/** Behind a Catch: turns what it caught into the API's error answer; an unknown failure tells nothing of itself. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'response'>(RED, {
    type: 'api-error',
    outputs: ['response'],
    start(config, host) {
      const own = new Map<string, number>();
      for (const { code, status } of config.codes ?? []) {
        own.set(code, numberSetting(status, 500, { name: code, min: 400, max: 599, whole: true }));
      }
      host.status('idle', 'ready');
      return {
        input(message, emit) {
          const { status, headers, body } = ownAnswer(own, message['error']) ?? errorAnswer(message['error']);
          host.status(status >= 500 ? 'error' : 'warning', `${status} ${body.error.code}`);
          // The answer says nothing of it, and what Catch takes is not logged by Node-RED.
          if (body.error.code === 'INTERNAL') host.node.error(describe(message['error']));
          emit({ response: { ...answer(message, 'response', status, body), headers: { ...headers } } });
        },
      };
    },
  });
}

/** What Catch hands on: the message, and the node that it came from. */
function describe(error: unknown): string {
  const { message, source } = (error ?? {}) as {
    message?: unknown;
    source?: { name?: string; type?: string };
  };
  return `${source?.name ?? source?.type ?? 'a node'}: ${String(message)}`;
}

function ownAnswer(own: ReadonlyMap<string, number>, error: unknown): ErrorAnswer | undefined {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const status = typeof code === 'string' ? own.get(code) : undefined;
  if (status === undefined || typeof code !== 'string') return undefined;
  // Catch hands on `error.toString()`, which begins with the class name.
  const text = String(message).replace(/^\w*Error: /, '');
  return { status, headers: {}, body: { error: { code, message: text } } };
}

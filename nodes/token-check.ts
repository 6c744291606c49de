import type { NodeAPI, NodeDef } from 'node-red';
import { judgeTyped } from '../src/tokens/typed.js';
import { defineNode } from './define-node.js';
import { outcome } from './outcome.js';

/** Says what is wrong with a token and a meter number, without any key: for a form, while it is filled in. */
export default function (RED: NodeAPI): void {
  defineNode<NodeDef, 'valid' | 'flawed'>(RED, {
    type: 'token-check',
    outputs: ['valid', 'flawed'],
    start: () => ({
      input(message, emit) {
        const judged = judgeTyped(message.payload);
        const name = judged.valid ? 'valid' : 'flawed';
        emit({ [name]: outcome(message, name, judged) });
      },
    }),
  });
}

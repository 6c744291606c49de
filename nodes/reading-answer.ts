import type { NodeAPI, NodeDef } from 'node-red';
import type { Reading, Rejection } from '../src/readings/reading.js';
import { submissionAnswer } from '../src/readings/submission-answer.js';
import { showAnswers } from './answers.js';
import { defineNode } from './define-node.js';
import { answer } from './outcome.js';

/** Behind reading-store and the refusals of reading-validator: the answer to the request that brought the reading. */
export default function (RED: NodeAPI): void {
  defineNode<NodeDef, 'response'>(RED, {
    type: 'reading-answer',
    outputs: ['response'],
    start(_config, host) {
      const answers = showAnswers(host);
      return {
        input(message, emit) {
          const [item] = message.payload as readonly (Reading | Rejection)[];
          if (item === undefined) return;
          const { status, body } = submissionAnswer(
            message.topic === 'duplicate' ? 'duplicate' : 'stored',
            item,
          );
          answers.show(message.topic ?? '', status, Date.now() - item.received_at);
          emit({ response: answer(message, 'response', status, body) });
        },
      };
    },
  });
}

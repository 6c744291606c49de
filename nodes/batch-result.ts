import type { NodeAPI, NodeDef } from 'node-red';
import { runs } from '../src/batches/runs.js';
import type { Reading, Rejection } from '../src/readings/reading.js';
import { defineNode, type Message } from './define-node.js';
import { outcome } from './outcome.js';
import { showProgress } from './progress.js';

/** Hears what became of the readings of a batch-worker; when it has all of them, their result is written down. */
export default function (RED: NodeAPI): void {
  defineNode<NodeDef, 'done' | 'other'>(RED, {
    type: 'batch-result',
    outputs: ['done', 'other'],
    start(_config, host) {
      const progress = showProgress(host, ['done']);
      return {
        async input(message, emit) {
          const run = runOf(message);
          if (run === undefined) return emit({ other: message });
          if (message['error'] !== undefined) return runs.fail(run, message['error']);
          const batch = await runs.settle(
            run,
            message.topic === 'rejected' ? 'rejected' : 'stored',
            message.payload as readonly (Reading | Rejection)[],
          );
          if (batch === null) return;
          progress.count('done', 1);
          emit({ done: outcome(message, 'done', batch) });
        },
        close: () => progress.stop(),
      };
    },
  });
}

/** Set by batch-worker, kept by every node between. */
function runOf(message: Message): number | undefined {
  const batch = message['batch'] as { readonly run?: unknown } | undefined;
  return typeof batch?.run === 'number' ? batch.run : undefined;
}

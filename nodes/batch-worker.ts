import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import { acquireQueue, releaseQueue } from '../src/batches/queue.js';
import { startBatchWorker, type Task } from '../src/batches/worker.js';
import type { Database } from '../src/database/database.js';
import { defineNode, type Host, type Message } from './define-node.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  instance: string;
  concurrency: string;
  runSeconds: string;
}

/** Takes accepted batches from the queue and sends their readings into the flow; batch-result hears what became of them. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'readings' | 'failed'>(RED, {
    type: 'batch-worker',
    outputs: ['readings', 'failed'],
    start(config, host) {
      const limits = limitsOf(config);
      const database = host.use<Database>(config.database, 'database');
      const show = shown(host, database);
      const stopListening = database.onState(() => show());
      const worker = startBatchWorker(database, acquireQueue(database), {
        name: `${textSetting(config.instance, hostname())}/${host.node.id}`,
        ...limits,
        onTask: (task) => host.emit({ readings: messageOf(task) }),
        onFailed: (batch) => {
          show({ failed: 1 });
          host.emit({ failed: { _msgid: RED.util.generateId(), topic: 'failed', payload: batch } });
        },
        onProgress: (running) => show({ running }),
      });
      // Until the flow is whole.
      worker.pause();
      show();
      return {
        deploys: { stopping: () => worker.pause(), started: () => worker.resume() },
        async close() {
          stopListening();
          await worker.close();
          await releaseQueue(database);
        },
      };
    },
  });

  function messageOf({ job_id, attempt, run, readings }: Task): Message {
    return {
      _msgid: RED.util.generateId(),
      topic: 'readings',
      payload: readings,
      batch: { job_id, attempt, run },
    };
  }
}

function limitsOf(config: Config): { concurrency: number; runMs: number } {
  const whole = true;
  const seconds = numberSetting(config.runSeconds, 60, { name: 'Time', min: 1, max: 3600 });
  return {
    concurrency: numberSetting(config.concurrency, 4, { name: 'Batches at a time', min: 1, max: 64, whole }),
    runMs: seconds * 1000,
  };
}

/** `2 under way · 1 failed`. */
function shown(
  host: Host<string>,
  database: Database,
): (news?: { readonly running?: number; readonly failed?: number }) => void {
  let running = 0;
  let failed = 0;
  return (news = {}) => {
    running = news.running ?? running;
    failed += news.failed ?? 0;
    const suffix = failed > 0 ? ` · ${failed} failed` : '';
    if (database.state === 'down') host.status('error', `database away: ${database.reason ?? 'no answer'}`);
    else if (running > 0) host.status('busy', `${running} under way${suffix}`);
    else host.status(failed > 0 ? 'warning' : 'ok', `ready${suffix}`);
  };
}

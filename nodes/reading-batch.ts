import type { NodeAPI, NodeDef } from 'node-red';
import { acquireQueue, releaseQueue } from '../src/batches/queue.js';
import { createSubmissions, type Submissions, type Submitter } from '../src/batches/submissions.js';
import { untilCommitted, type Database } from '../src/database/database.js';
import { createValidator } from '../src/readings/validate.js';
import { createVerifier, type Verifier } from '../src/readings/verify.js';
import { showAnswers } from './answers.js';
import { defineNode, type Message, type Use } from './define-node.js';
import type { KeyringResource } from './meter-keyring.js';
import { readingLimits } from './reading-limits.js';
import { callerOf, asksFor, operationOf, ownerShown, type Request } from './request.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  keyring: string;
  operation: string;
  operationType: 'operation' | 'msg';
  kwhMax: string;
  ageMaxDays: string;
  aheadMaxMinutes: string;
  sizeMax: string;
  retriesMax: string;
}

/** Accepts batches of readings, and tells what became of them. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'reading-batch',
    outputs: ['result', 'refused'],
    start(config, host) {
      const limits = limitsOf(config);
      const database = host.use<Database>(config.database, 'database');
      const verifier = verifierOf(host.use, config);
      const submissions = createSubmissions(database, acquireQueue(database), {
        validator: createValidator({ limits: readingLimits(config) }),
        verifier,
        ...limits,
      });
      const answers = showAnswers(host);
      const closing = new AbortController();
      const underWay = new Set<Promise<unknown>>();
      if (submits(config)) underWay.add(rehearsed(database, submissions, closing.signal));
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          const work = operation.run(
            submissions,
            asksFor(message),
            submitterOf(message),
            ownerShown(message),
          );
          underWay.add(work);
          await answers
            .serve(name, message, emit, async () => ({ payload: await work, status: operation.status }))
            .finally(() => underWay.delete(work));
        },
        async close() {
          closing.abort();
          await Promise.allSettled(underWay);
          await verifier?.close();
          await releaseQueue(database);
        },
      };
    },
  });
}

/** As in reading-validator: without a keyring nobody's signature is looked at. */
function verifierOf(use: Use, config: Config): Verifier | undefined {
  if (textSetting(config.keyring, '') === '') return undefined;
  const { keyring, method } = use<KeyringResource>(config.keyring, 'keyring');
  return createVerifier(keyring, { method });
}

function submits({ operation, operationType }: Config): boolean {
  return operationType === 'msg' || operation === 'submit';
}

/** Once the database is there; without pg-boss the first submission says so itself. */
async function rehearsed(database: Database, submissions: Submissions, signal: AbortSignal): Promise<void> {
  await untilCommitted(database, () => submissions.rehearse(), { signal }).catch(() => undefined);
}

interface Operation {
  readonly status: number;
  run(submissions: Submissions, request: Request, by: Submitter, owner: string | null): Promise<unknown>;
}

const operations: Readonly<Record<string, Operation>> = {
  submit: { status: 202, run: (submissions, { body }, by) => submissions.submit(body, by) },
  get: {
    status: 200,
    run: (submissions, { id }, by, owner) => submissions.get(id, owner === null ? null : by.caller),
  },
};

function limitsOf(config: Config): { sizeMax: number; retriesMax: number } {
  const whole = true;
  return {
    sizeMax: numberSetting(config.sizeMax, 1000, { name: 'Readings', min: 1, max: 1000, whole }),
    retriesMax: numberSetting(config.retriesMax, 3, { name: 'Attempts', min: 0, max: 100, whole }),
  };
}

function submitterOf(message: Message): Submitter {
  const request = message['req'] as { headers?: Record<string, string | undefined> } | undefined;
  const given = request === undefined ? message['idempotencyKey'] : request.headers?.['idempotency-key'];
  return { caller: callerOf(message).name, ...(typeof given === 'string' ? { key: given } : {}) };
}

import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { DomainError, errorStatus, type ErrorCode } from '../src/errors.js';
import { createQuarantineDesk, type QuarantineDesk, type Replayed } from '../src/readings/quarantine-desk.js';
import type { ReplayOptions } from '../src/readings/replay.js';
import { createVerifier, type Verifier } from '../src/readings/verify.js';
import { showAnswers } from './answers.js';
import { defineNode, type Host, type Message } from './define-node.js';
import type { KeyringResource } from './meter-keyring.js';
import { readingLimits } from './reading-limits.js';
import { asksFor, callerOf, operationOf, type Request } from './request.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  keyring: string;
  operation: string;
  operationType: 'operation' | 'msg';
  kwhMax: string;
  ageMaxDays: string;
  aheadMaxMinutes: string;
  spacingSeconds: string;
  schema: string;
}

/** What an operator does with quarantined messages: one operation per node, or named by the message ([M-14]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'result' | 'refused'>(RED, {
    type: 'quarantine-desk',
    outputs: ['result', 'refused'],
    start(config, host) {
      const verifier = verifierOf(config, host);
      const desk = createQuarantineDesk(host.use<Database>(config.database, 'database'), {
        limits: limitsOf(config),
        signal: host.signal,
        ...schemaOf(config),
        ...(verifier === null ? {} : { verify: (readings, wait) => verifier.verify(readings, wait) }),
      });
      const answers = showAnswers(host);
      return {
        async input(message, emit) {
          const { name, operation } = operationOf(RED, config, message, operations);
          await answers.serve(name, message, emit, async () => ({
            payload: await operation(desk, asksFor(message), message),
          }));
        },
        close: () => verifier?.close(),
      };
    },
  });
}

type Operation = (desk: QuarantineDesk, request: Request, message: Message) => Promise<unknown>;

const operations: Readonly<Record<string, Operation>> = {
  list: (desk, { query }) => desk.list(query),
  count: (desk) => desk.counts(),
  show: (desk, { id }) => desk.show(id),
  replay: async (desk, { id }, message) =>
    accepted(await desk.replay(id, bodyOf(message), callerOf(message))),
  'replay-many': (desk, _request, message) => desk.replayMany(bodyOf(message), callerOf(message)),
  remove: (desk, { id }, message) => desk.remove(id, callerOf(message)),
};

/** One that the rules refuse again leaves through `refused`, with the rule's code. */
function accepted(replayed: Replayed): Replayed {
  const { outcome, code, reason } = replayed;
  if (outcome !== 'refused') return replayed;
  const known = code !== null && Object.hasOwn(errorStatus, code) ? (code as ErrorCode) : 'FLOW_UNSETTLED';
  throw new DomainError(known, reason ?? 'The rules refuse it again.');
}

/** Of a request its body; without one, what stands in the payload beside the id. */
function bodyOf({ req, payload }: Message): unknown {
  if (typeof payload !== 'object' || payload === null) return {};
  if (req !== undefined || Array.isArray(payload)) return payload;
  return Object.fromEntries(Object.entries(payload).filter(([key]) => key !== 'id'));
}

function verifierOf(config: Config, host: Host<string>): Verifier | null {
  if (textSetting(config.keyring, '') === '') return null;
  const { keyring, method } = host.use<KeyringResource>(config.keyring, 'keyring');
  return createVerifier(keyring, { method });
}

function limitsOf(config: Config): NonNullable<ReplayOptions['limits']> {
  return {
    ...readingLimits(config),
    spacingSeconds: numberSetting(config.spacingSeconds, 900, {
      name: 'Spacing',
      min: 0,
      max: 86_400,
      whole: true,
    }),
  };
}

function schemaOf(config: Config): Pick<ReplayOptions, 'schema'> {
  const text = textSetting(config.schema, '');
  if (text === '') return {};
  try {
    return { schema: JSON.parse(text) as object };
  } catch (cause) {
    throw new DomainError('CONFIGURATION', 'The extra JSON Schema is not valid JSON', { cause });
  }
}

import type { NodeAPI, NodeDef } from 'node-red';
import type { Delivery } from '../src/broker/delivery.js';
import { deliveries } from '../src/broker/deliveries.js';
import { DomainError } from '../src/errors.js';
import type { Reading, Rejection } from '../src/readings/reading.js';
import { createValidator, type Validator } from '../src/readings/validate.js';
import { defineNode, type Message } from './define-node.js';
import { outcome } from './outcome.js';
import { showProgress } from './progress.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  kwhMax: string;
  ageMaxDays: string;
  aheadMaxMinutes: string;
  schema: string;
}

interface Verdict {
  readonly valid: readonly Reading[];
  readonly rejected: readonly Rejection[];
}

/** Checks what needs no database; a batch stays one message per output. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'valid' | 'rejected'>(RED, {
    type: 'reading-validator',
    outputs: ['valid', 'rejected'],
    start(config, host) {
      const validator = createValidator({ limits: limitsOf(config), ...schemaOf(config) });
      const progress = showProgress(host, ['valid', 'rejected']);
      return {
        input(message, emit) {
          const { valid, rejected } = judge(validator, message);
          progress.count('valid', valid.length);
          progress.count('rejected', rejected.length);
          // One send per output: in a send of several, Node-RED clones all but the first.
          if (valid.length > 0) emit({ valid: outcome(message, 'valid', valid) });
          if (rejected.length > 0) emit({ rejected: outcome(message, 'rejected', rejected) });
        },
        close: () => progress.stop(),
      };
    },
  });
}

function limitsOf(config: Config): { kwhMax: number; ageMaxDays: number; aheadMaxMinutes: number } {
  return {
    kwhMax: numberSetting(config.kwhMax, 100, { name: 'Energy', min: 0.0001, max: 1_000_000 }),
    ageMaxDays: numberSetting(config.ageMaxDays, 7, { name: 'Age', min: 0, max: 3650 }),
    aheadMaxMinutes: numberSetting(config.aheadMaxMinutes, 5, { name: 'Ahead', min: 0, max: 1440 }),
  };
}

function schemaOf(config: Config): { schema?: object } {
  const text = textSetting(config.schema, '');
  if (text === '') return {};
  try {
    return { schema: JSON.parse(text) as object };
  } catch (cause) {
    throw new DomainError('CONFIGURATION', 'The extra JSON Schema is not valid JSON', { cause });
  }
}

function judge(validator: Validator, message: Message): Verdict {
  const { payload } = message;
  if (areDeliveries(payload)) {
    const verdict = validator.validate(payload);
    for (const { delivery, parts } of verdict.splits) deliveries.split(delivery, parts);
    return verdict;
  }
  const context = {
    source: message['req'] === undefined ? 'batch' : 'http',
    received_at: Date.now(),
  } as const;
  const valid: Reading[] = [];
  const rejected: Rejection[] = [];
  for (const input of Array.isArray(payload) ? (payload as unknown[]) : [payload]) {
    const verdict = validator.validateOne(input, context);
    if ('code' in verdict) rejected.push(verdict);
    else valid.push(verdict);
  }
  return { valid, rejected };
}

/** What meter-auth-broker emits; anything else is readings of the integrator's own. */
function areDeliveries(payload: unknown): payload is Delivery[] {
  const first: unknown = Array.isArray(payload) ? payload[0] : undefined;
  return typeof first === 'object' && first !== null && 'delivery' in first && 'pattern' in first;
}

import type { NodeAPI, NodeDef } from 'node-red';
import type { Delivery } from '../src/broker/delivery.js';
import { deliveries } from '../src/broker/deliveries.js';
import { DomainError } from '../src/errors.js';
import type { Reading, Rejection } from '../src/readings/reading.js';
import { createValidator, type Validator } from '../src/readings/validate.js';
import { createVerifier, type Verifier } from '../src/readings/verify.js';
import { defineNode, type Host, type Message } from './define-node.js';
import { hold, release } from './held.js';
import type { KeyringResource } from './meter-keyring.js';
import { outcome } from './outcome.js';
import { withPatience } from './patience.js';
import { showProgress } from './progress.js';
import { readingLimits } from './reading-limits.js';
import { textSetting } from './setting.js';

interface Config extends NodeDef {
  keyring: string;
  kwhMax: string;
  ageMaxDays: string;
  aheadMaxMinutes: string;
  schema: string;
}

interface Verdict {
  readonly valid: readonly Reading[];
  readonly rejected: readonly Rejection[];
}

/** The rules that look at one reading alone, and who signed it; a batch stays one message per output. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'valid' | 'rejected'>(RED, {
    type: 'reading-validator',
    outputs: ['valid', 'rejected'],
    start(config, host) {
      const validator = createValidator({ limits: readingLimits(config), ...schemaOf(config) });
      const verifier = verifierOf(host, config);
      const progress = showProgress(host, ['valid', 'rejected']);
      const complaints = complain(host);
      return {
        async input(message, emit) {
          const send = ({ valid, rejected }: Verdict): void => {
            progress.count('valid', valid.length);
            progress.count('rejected', rejected.length);
            complaints.count(rejected);
            // One send per output: in a send of several, Node-RED clones all but the first.
            if (valid.length > 0) emit({ valid: outcome(message, 'valid', valid) });
            if (rejected.length > 0) emit({ rejected: outcome(message, 'rejected', rejected) });
          };
          const verdict = judge(validator, message);
          if (verifier === null) return send(verdict);
          if (!areDeliveries(message)) {
            // A request has one answer.
            const verified = await withPatience(message, host.signal, (wait) =>
              verifier.verify(verdict.valid, wait),
            );
            return send({ ...verified, rejected: [...verdict.rejected, ...verified.rejected] });
          }
          const { valid, rejected, later } = verifier.begin(verdict.valid, { signal: host.signal });
          const first = { valid, rejected: [...verdict.rejected, ...rejected] };
          if (later === null) return send(first);
          send(first);
          hold(later.readings);
          let verdicts: Verdict;
          try {
            verdicts = await later.verdicts;
          } finally {
            // The flow's deadline runs again, until the store takes them.
            release(later.readings);
          }
          send(verdicts);
        },
        close() {
          progress.stop();
          complaints.stop();
        },
      };
    },
  });
}

/** Without a keyring nobody's signature is looked at: for readings of the integrator's own. */
function verifierOf(host: Host<string>, config: Config): Verifier | null {
  if (textSetting(config.keyring, '') === '') return null;
  const { keyring, method } = host.use<KeyringResource>(config.keyring, 'keyring');
  const verifier = createVerifier(keyring, { method });
  // Not sooner: what is under way at a redeploy is finished first.
  host.signal.addEventListener('abort', () => void verifier.close());
  return verifier;
}

const complainEveryMs = 1000;
const ofSignatures = new Set(['SIGNATURE_MISSING', 'SIGNATURE_INVALID', 'KEY_REVOKED', 'KEY_EXPIRED']);

/** One line a second however many there are: a device with a wrong key must not fill the log. */
function complain(host: Host<string>): { count(rejected: readonly Rejection[]): void; stop(): void } {
  let failed = 0;
  let last: Rejection | undefined;
  const timer = setInterval(() => {
    if (last === undefined) return;
    const { meter_id, code } = last;
    host.node.warn(
      `Device signature verification failed ${JSON.stringify({ meter_id, error: code, failed })}`,
    );
    failed = 0;
    last = undefined;
  }, complainEveryMs);
  timer.unref();
  return {
    count(rejected) {
      for (const rejection of rejected) {
        if (!ofSignatures.has(rejection.code)) continue;
        failed++;
        last = rejection;
      }
    },
    stop: () => clearInterval(timer),
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
  if (areDeliveries(message)) {
    const verdict = validator.validate(message.payload);
    for (const { delivery, parts } of verdict.splits) deliveries.split(delivery, parts);
    return verdict.splits.length === 0 ? verdict : withoutTaken(verdict);
  }
  const context = {
    source: message['req'] === undefined ? 'batch' : 'http',
    received_at: Date.now(),
  } as const;
  const valid: Reading[] = [];
  const rejected: Rejection[] = [];
  // A request brings one reading.
  const several = Array.isArray(payload) && message['req'] === undefined;
  for (const input of several ? (payload as unknown[]) : [payload]) {
    const verdict = validator.validateOne(input, context);
    if ('code' in verdict) rejected.push(verdict);
    else valid.push(verdict);
  }
  return { valid, rejected };
}

/** An array that is offered again after a Deploy may be committed in parts already; nothing is quarantined twice. */
function withoutTaken({ valid, rejected }: Verdict): Verdict {
  return { valid: valid.filter(isOpen), rejected: rejected.filter(isOpen) };
}

function isOpen({ delivery, part }: Reading | Rejection): boolean {
  return !deliveries.isTaken(delivery, part);
}

/** What meter-auth-broker emits; anything else is readings of the integrator's own. No request may pass for the broker. */
function areDeliveries(message: Message): message is Message & { payload: Delivery[] } {
  const { payload, req } = message;
  if (req !== undefined) return false;
  const first: unknown = Array.isArray(payload) ? payload[0] : undefined;
  return typeof first === 'object' && first !== null && 'delivery' in first && 'pattern' in first;
}

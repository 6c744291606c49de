import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { DomainError } from '../src/errors.js';
import { createAcceptance } from '../src/payments/acceptance.js';
import { callbackKinds, createIntake, type Callback, type CallbackKind } from '../src/payments/intake.js';
import type { Outcome } from '../src/payments/payment.js';
import { defineNode, type Message, type Outputs } from './define-node.js';
import type { PaymentsResource } from './meter-payments.js';
import { answer, refusal } from './outcome.js';
import { withPatience } from './patience.js';
import { showProgress } from './progress.js';

interface Config extends NodeDef {
  database: string;
  payments: string;
}

/** Hears the payment provider: checks who calls, stores what became of the money, and answers after the commit. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'answer' | Outcome>(RED, {
    type: 'payment-intake',
    outputs: ['answer', 'accepted', 'suspense', 'failed', 'disputed', 'duplicate'],
    start(config, host) {
      const database = host.use<Database>(config.database, 'database');
      const { shortCode, isSecret, isAllowed } = host.use<PaymentsResource>(
        config.payments,
        'payment provider',
      );
      const acceptance = createAcceptance(database, { shortCode });
      const intake = createIntake(database, acceptance, { shortCode, isSecret, isAllowed });
      const outcomes = ['accepted', 'suspense', 'failed', 'disputed', 'duplicate'];
      const progress = showProgress(host, outcomes, database);
      return {
        async input(message, emit) {
          progress.begin(1);
          try {
            const callback = callbackOf(message);
            const taken = await withPatience(message, host.signal, (wait) => intake.take(callback, wait));
            emit({ answer: answer(message, callback.kind, 200, taken.answer) });
            const { payment } = taken;
            if (payment === null) return;
            progress.count(payment.outcome, 1);
            emit(
              leaving(payment.outcome, { _msgid: message._msgid, topic: payment.outcome, payload: payment }),
            );
          } catch (error) {
            emit({ answer: refusal(message, error) });
          } finally {
            progress.end(1);
          }
        },
        close: () => progress.stop(),
      };
    },
  });
}

/** Without the request: what goes on from here is news, not a call that waits. */
function leaving(outcome: Outcome, message: Message): Outputs<'answer' | Outcome> {
  return { [outcome]: message };
}

function callbackOf(message: Message): Callback {
  const request = message['req'] as Request | undefined;
  const kind = kindOf(request === undefined ? message['operation'] : request.path);
  if (kind === undefined) {
    const known = callbackKinds.join(', ');
    throw new DomainError('CONFIGURATION', `Neither path nor msg.operation names a callback: ${known}`);
  }
  if (request === undefined) return { kind, body: message.payload };
  const bytes = Number(request.headers?.['content-length'] ?? 0);
  const sender = { secret: request.params?.['secret'], address: request.ip ?? null, bytes };
  return { kind, sender, body: message.payload };
}

interface Request {
  readonly path?: string;
  readonly ip?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

/** `/api/payments/c2b/validation/…` is `c2b-validation`; so is the name itself. */
function kindOf(said: unknown): CallbackKind | undefined {
  if (typeof said !== 'string') return undefined;
  return callbackKinds.find((kind) => said === kind || said.includes(`/${kind.replace('-', '/')}/`));
}

import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { createAcceptance } from '../src/payments/acceptance.js';
import { followUp } from '../src/payments/follow-up.js';
import type { Payment } from '../src/payments/payment.js';
import { createPrompts } from '../src/payments/prompts.js';
import { showAnswers } from './answers.js';
import { defineNode, type Host, type Message } from './define-node.js';
import type { PaymentsResource } from './meter-payments.js';
import { answer, refusal } from './outcome.js';
import { callerOf } from './request.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  payments: string;
  askSeconds: string;
  expireMinutes: string;
}

type Output = 'requested' | 'refused' | 'accepted' | 'suspense' | 'failed';

/** Asks customers' phones for money, and the provider about prompts that no callback has answered. */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'payment-prompt',
    outputs: ['requested', 'refused', 'accepted', 'suspense', 'failed'],
    start(config, host) {
      const limits = limitsOf(config);
      const database = host.use<Database>(config.database, 'database');
      const payments = host.use<PaymentsResource>(config.payments, 'payment provider');
      const { provider } = payments;
      const prompts = createPrompts(database, {
        provider,
        callbackUrl: payments.callbackUrl('stk'),
        askAfterMs: limits.askMs,
      });
      const answers = showAnswers(host);
      const closing = new AbortController();
      const following = follow();
      return {
        async input(message, emit) {
          const begun = performance.now();
          try {
            const prompt = await prompts.request(message.payload, callerOf(message).name, host.signal);
            answers.show('prompt', 202, performance.now() - begun);
            emit({ requested: answer(message, 'requested', 202, prompt) });
          } catch (error) {
            const refused = refusal(message, error);
            answers.show('prompt', Number(refused['statusCode']), performance.now() - begun);
            emit({ refused });
          }
        },
        async close() {
          closing.abort();
          await following;
        },
      };

      async function follow(): Promise<void> {
        if (provider === undefined) return host.status('idle', 'no provider: PAYMENT_API_URL is not set');
        const settings = {
          provider,
          acceptance: createAcceptance(database, { shortCode: payments.shortCode, lanes: 1 }),
          everyMs: Math.min(limits.askMs, 1_000),
          againMs: limits.askMs,
          expireMs: limits.expireMs,
          onSettled: (payment: Payment) => tell(payment.outcome, payment),
          onExpired: (prompt: object) => tell('failed', prompt),
          onProblem: problems(host),
        };
        await followUp(database, settings, closing.signal);
      }

      /** What was known already is no news, and a prompt that we ask about is never in dispute. */
      function tell(outcome: string, payload: object): void {
        const message: Message = { _msgid: RED.util.generateId(), topic: outcome, payload };
        if (outcome === 'accepted') host.emit({ accepted: message });
        else if (outcome === 'suspense') host.emit({ suspense: message });
        else if (outcome === 'failed') host.emit({ failed: message });
      }
    },
  });
}

/** Shown once, and taken back once. */
function problems(host: Host<Output>): (reason: string | null) => void {
  let shown: string | null = null;
  return (reason) => {
    if (reason === shown) return;
    shown = reason;
    if (reason === null) host.status('ok', 'ready');
    else host.status('error', reason);
  };
}

function limitsOf(config: Config): { askMs: number; expireMs: number } {
  const seconds = numberSetting(config.askSeconds, 60, { name: 'Ask after', min: 0.05, max: 3_600 });
  const minutes = numberSetting(config.expireMinutes, 15, { name: 'Expire after', min: 0.001, max: 1_440 });
  return { askMs: seconds * 1000, expireMs: minutes * 60_000 };
}

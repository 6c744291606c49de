import { untilCommitted, type Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { findMeter } from '../ledger/find-meter.js';
import { logger } from '../operation/logging.js';
import { referenceOf } from './facts.js';
import { readPromptRequest } from './prompt-request.js';
import { endPrompt, insertPrompt, openPrompt } from './prompt-store.js';
import type { PromptAnswer, Provider } from './provider.js';

/** The answer to POST /api/payments: the request is on its way to the phone, nothing is paid yet. */
export interface StartedPrompt {
  readonly checkout_request_id: string;
  readonly merchant_request_id: string | null;
  readonly state: 'open';
  readonly meter_number: string;
  readonly meter_id: string;
  readonly amount: number;
  readonly currency: string;
  readonly phone_number: string;
  readonly requested_at: string;
  /** The provider's sentence for the customer. */
  readonly message: string;
}

export interface Prompts {
  /**
   * Asks a customer's phone for money.
   * @throws DomainError SCHEMA_INVALID, METER_UNKNOWN, PAYMENT_UNAVAILABLE, PAYMENT_NOT_SET_UP, DATABASE_UNAVAILABLE
   */
  request(body: unknown, caller: string, signal: AbortSignal): Promise<StartedPrompt>;
}

export interface PromptSettings {
  /** Undefined: there is no provider. */
  readonly provider: Provider | undefined;
  /** Where the result is to be sent, its secret included. */
  readonly callbackUrl: string;
  /** When the provider is asked about a prompt without a callback. */
  readonly askAfterMs: number;
}

/** The provider has answered long before; what nobody heard of until then is over. */
const requestedMaxMs = 120_000;
/** The customer's phone rings already: its checkout_request_id must not be lost. */
const storeMs = 10_000;
const referenceLengthMax = 12;
const log = logger('payments');

export function createPrompts(database: Database, settings: PromptSettings): Prompts {
  const { callbackUrl, askAfterMs } = settings;

  return {
    async request(body, caller, signal) {
      const { meter_number, amount, phone_number } = readPromptRequest(body);
      const { provider } = settings;
      if (provider === undefined)
        throw new DomainError(
          'PAYMENT_NOT_SET_UP',
          'There is no payment provider: PAYMENT_API_URL is not set.',
        );
      const meter = await findMeter(database, meter_number);
      if (meter === undefined)
        throw new DomainError('METER_UNKNOWN', `There is no meter ${JSON.stringify(meter_number)}.`);
      const meter_id = meter.meterId;
      const made = await insertPrompt(
        database,
        { meter_number, meter_id, amount, phone_number, caller },
        requestedMaxMs,
      );
      if (made === undefined)
        throw new DomainError('CONFIGURATION', 'There is no tariff: the plan "default" has no version.');
      const reference = meter_number.length <= referenceLengthMax ? meter_number : referenceOf(made.id);
      const answer = await ask(provider, made.id, { phone_number, amount, reference, callbackUrl }, signal);
      const ids = answer;
      await untilCommitted(database, () => openPrompt(database, made.id, ids, askAfterMs), {
        signal: AbortSignal.timeout(storeMs),
      });
      log.info(
        { meter_id, amount, checkout_request_id: ids.checkout_request_id },
        'a payment prompt was requested',
      );
      return {
        checkout_request_id: ids.checkout_request_id,
        merchant_request_id: ids.merchant_request_id,
        state: 'open',
        meter_number,
        meter_id,
        amount,
        currency: made.currency,
        phone_number,
        requested_at: made.requested_at.toISOString(),
        message: ids.message,
      };
    },
  };

  async function ask(
    provider: Provider,
    id: string,
    order: Parameters<Provider['prompt']>[0],
    signal: AbortSignal,
  ): Promise<Extract<PromptAnswer, { outcome: 'prompted' }>> {
    let answer: PromptAnswer;
    try {
      answer = await provider.prompt(order, signal);
    } catch (error) {
      // Nobody knows whether the phone rings, and no callback could be told apart: only a confirmation by bill counts.
      const result_desc = error instanceof Error ? error.message : String(error);
      await endPrompt(database, id, { state: 'expired', result_code: null, result_desc });
      throw error;
    }
    if (answer.outcome === 'prompted') return answer;
    const { code, reason } = answer;
    await endPrompt(database, id, { state: 'failed', result_code: code, result_desc: reason });
    throw new DomainError('PAYMENT_UNAVAILABLE', `The payment provider refused the prompt: ${reason}.`);
  }
}

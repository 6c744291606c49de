import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/database.js';
import { logger } from '../operation/logging.js';
import type { Acceptance } from './acceptance.js';
import type { Notice } from './notice.js';
import type { Payment } from './payment.js';
import { endPrompt, takeSilentPrompts, type SilentPrompt } from './prompt-store.js';
import type { PromptFate, Provider } from './provider.js';
import { digest } from './stk-result.js';

export interface FollowUpSettings {
  readonly provider: Provider;
  readonly acceptance: Acceptance;
  /** How often it is looked whether the time of a prompt has come. */
  readonly everyMs: number;
  /** The pause between two questions about one prompt doubles from this … */
  readonly againMs: number;
  /** A prompt that the provider cannot tell of by then has expired. */
  readonly expireMs: number;
  /** Called after the commit. */
  readonly onSettled: (payment: Payment) => void;
  readonly onExpired: (prompt: ExpiredPrompt) => void;
  /** Why the last round failed, for people; null when it did not. */
  readonly onProblem: (reason: string | null) => void;
}

/** A prompt of which nobody could say in time what became of it. A success that comes later still counts. */
export interface ExpiredPrompt {
  readonly outcome: 'expired';
  readonly checkout_request_id: string | null;
  readonly meter_number: string;
  readonly meter_id: string;
  readonly amount: number;
  readonly currency: string;
  readonly requested_at: string;
}

/** … to this. */
const againMaxMs = 5 * 60_000;
/** A provider that is away is asked for so long: money may have moved. */
const unreachableMaxMs = 24 * 3_600_000;
const countMax = 10;
const log = logger('payments');

/** Callbacks get lost: asks the provider what became of prompts that got none. Resolves when the signal aborts. */
export async function followUp(
  database: Database,
  settings: FollowUpSettings,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const taken = await takeSilentPrompts(database, countMax, { first: settings.againMs, max: againMaxMs });
      const problems = await Promise.all(taken.map((prompt) => ask(prompt)));
      settings.onProblem(problems.find((problem) => problem !== null) ?? null);
      if (taken.length === countMax) continue;
    } catch (error) {
      if (!signal.aborted) settings.onProblem(error instanceof Error ? error.message : String(error));
    }
    await delay(settings.everyMs, undefined, { signal, ref: false }).catch(() => undefined);
  }

  /** @returns why nothing is known, null when something is */
  async function ask(prompt: SilentPrompt): Promise<string | null> {
    const { checkout_request_id, age_ms } = prompt;
    if (checkout_request_id === null) {
      await expire(prompt, 'the provider never answered');
      return null;
    }
    let fate: PromptFate;
    try {
      fate = await settings.provider.fateOf(checkout_request_id, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (age_ms > unreachableMaxMs) await expire(prompt, 'the provider could not be asked');
      return error instanceof Error ? error.message : String(error);
    }
    if (fate.outcome === 'settled') {
      settings.onSettled(await settings.acceptance.accept(noticeOf(checkout_request_id, fate), { signal }));
    } else if (age_ms > settings.expireMs) await expire(prompt, 'the customer never answered');
    return null;
  }

  async function expire(prompt: SilentPrompt, result_desc: string): Promise<void> {
    if (!(await endPrompt(database, prompt.id, { state: 'expired', result_code: null, result_desc }))) return;
    const { checkout_request_id, meter_number, meter_id, amount, currency, requested_at } = prompt;
    log.warn({ meter_id, amount, checkout_request_id, reason: result_desc }, 'a payment prompt has expired');
    settings.onExpired({
      outcome: 'expired',
      checkout_request_id,
      meter_number,
      meter_id,
      amount: Number(amount),
      currency,
      requested_at: requested_at.toISOString(),
    });
  }
}

/** What the provider says when it is asked: neither amount nor phone, and as a rule no receipt. */
function noticeOf(checkout_request_id: string, fate: Extract<PromptFate, { outcome: 'settled' }>): Notice {
  return {
    channel: 'query',
    paid: fate.result_code === '0',
    receipt: fate.receipt,
    amount: null,
    short_code: null,
    meter_number: null,
    phone: null,
    paid_at: null,
    checkout_request_id,
    result_code: fate.result_code,
    result_desc: fate.result_desc,
    flaw: null,
    sha256: digest('query', [checkout_request_id, fate.result_code]),
    details: fate.details,
  };
}

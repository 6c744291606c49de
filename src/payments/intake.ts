import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { Acceptance } from './acceptance.js';
import { parseC2bNotice } from './c2b-notice.js';
import { callbackBytesMax } from './callback-limit.js';
import type { Rules } from './judge.js';
import type { Notice } from './notice.js';
import type { Payment } from './payment.js';
import { parseStkResult } from './stk-result.js';
import { validateBill } from './validation.js';

/** The provider's three callbacks ([H-13]). */
export const callbackKinds = ['stk', 'c2b-validation', 'c2b-confirmation'] as const;
export type CallbackKind = (typeof callbackKinds)[number];

export interface Callback {
  readonly kind: CallbackKind;
  /** The last segment of its path; undefined: it did not come over HTTP, and whoever handed it in is trusted. */
  readonly sender?: { readonly secret: unknown; readonly address: string | null; readonly bytes: number };
  readonly body: unknown;
}

export interface Taken {
  /** What the provider hears, with HTTP 200. */
  readonly answer: ProviderAnswer;
  /** Null: nothing has been paid, we were only asked. */
  readonly payment: Payment | null;
}

/** ResultCode is a text in the answer to a validation and a number otherwise: as the provider documents it. */
export interface ProviderAnswer {
  readonly ResultCode: string | number;
  readonly ResultDesc: string;
}

export interface IntakeSettings extends Rules {
  readonly isSecret: (said: unknown) => boolean;
  readonly isAllowed: (address: string | null) => boolean;
}

export interface Intake {
  /**
   * Checks who calls, reads what it says, and answers after the commit.
   * @throws DomainError FORBIDDEN, PAYLOAD_TOO_LARGE, SCHEMA_INVALID, DATABASE_UNAVAILABLE
   */
  take(callback: Callback, options: { readonly signal: AbortSignal }): Promise<Taken>;
}

const accepted: ProviderAnswer = { ResultCode: 0, ResultDesc: 'Accepted' };
const log = logger('payments');

export function createIntake(database: Database, acceptance: Acceptance, settings: IntakeSettings): Intake {
  return {
    async take({ kind, sender, body }, options) {
      if (sender !== undefined) admit(kind, sender);
      if (kind === 'c2b-validation')
        return { answer: await validateBill(database, body, settings), payment: null };
      return { answer: accepted, payment: await acceptance.accept(read(kind, body), options) };
    },
  };

  /** [S-2]: told in the log with address and reason, never with the secret; the caller learns only that it was refused. */
  function admit(kind: CallbackKind, { secret, address, bytes }: NonNullable<Callback['sender']>): void {
    const reason = !settings.isSecret(secret)
      ? 'secret'
      : settings.isAllowed(address)
        ? undefined
        : 'address';
    if (reason !== undefined) {
      refuse(kind, reason, address);
      throw new DomainError('FORBIDDEN', 'Refused.');
    }
    if (bytes > callbackBytesMax) {
      refuse(kind, 'size', address);
      throw new DomainError('PAYLOAD_TOO_LARGE', `The body is larger than ${callbackBytesMax} bytes.`);
    }
  }
}

function read(kind: CallbackKind, body: unknown): Notice {
  try {
    return kind === 'stk' ? parseStkResult(body) : parseC2bNotice(body);
  } catch (error) {
    refuse(kind, 'form', null);
    throw error;
  }
}

function refuse(kind: CallbackKind, reason: string, address: string | null): void {
  metrics.paymentCallbacksRefused.inc({ reason });
  log.warn({ kind, reason, address }, 'a payment callback was refused');
}

import { DomainError, errorStatus, type ErrorCode } from '../errors.js';
import { errorAnswer } from '../http/errors.js';
import type { InjectionStatus, Refusal } from './record.js';

/** Through which output of the node it leaves. */
export type InjectionOutcome = 'applied' | 'refused' | 'unanswered' | 'failed';

/** [T-2]: what the caller hears. */
export interface InjectionAnswer {
  readonly outcome: InjectionOutcome;
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: InjectionBody;
}

export interface InjectionBody {
  readonly status: Exclude<InjectionStatus, 'waiting'>;
  readonly message: string;
  /** Null: nothing was begun. */
  readonly injection_id: string | null;
  /** Of a success. */
  readonly injected_units?: number;
  /** Why the meter refused. */
  readonly reason?: Refusal;
  /** The meter's answer as sent. */
  readonly data?: unknown;
  readonly error?: ReturnType<typeof errorAnswer>['body']['error'];
}

export function applied(id: string, units: number, data: unknown): InjectionAnswer {
  const injected_units = units / 10_000;
  const shown = injected_units.toFixed(Number.isInteger(units / 100) ? 2 : 4);
  const message = `Token injected successfully. Injected units: ${shown}`;
  return {
    outcome: 'applied',
    statusCode: 200,
    headers: {},
    body: { status: 'success', message, injected_units, injection_id: id, data },
  };
}

export interface Mishap {
  readonly id: string | null;
  readonly error: DomainError;
  readonly status?: Exclude<InjectionStatus, 'waiting' | 'success'>;
  readonly reason?: Refusal | null;
  readonly data?: unknown;
}

/** Everything that is no success. */
export function notApplied({ id, error, status = 'failed', reason, data }: Mishap): InjectionAnswer {
  const { status: statusCode, headers, body } = errorAnswer(error);
  return {
    outcome: outcomeOf(error.code),
    statusCode,
    headers,
    body: {
      status,
      message: error.message,
      injection_id: id,
      ...(reason === undefined || reason === null ? {} : { reason }),
      ...(data === undefined ? {} : { data }),
      error: body.error,
    },
  };
}

function outcomeOf(code: ErrorCode): InjectionOutcome {
  if (code === 'TOKEN_UNANSWERED') return 'unanswered';
  return errorStatus[code] < 500 ? 'refused' : 'failed';
}

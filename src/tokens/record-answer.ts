import { DomainError, errorStatus, type ErrorCode } from '../errors.js';
import { applied, notApplied, type InjectionAnswer } from './injection-answer.js';
import type { InjectionRecord } from './record.js';

/** What whoever waited for a record hears of it, from another instance; undefined while it waits. */
export function answerOfRecord(record: InjectionRecord): InjectionAnswer | undefined {
  const { id, status, code, refusal, reason, injected_units, answer } = record;
  if (status === 'waiting') return undefined;
  if (status === 'success') return applied(id, Math.round((injected_units ?? 0) * 10_000), answer);
  const error = new DomainError(isCode(code) ? code : 'INTERNAL', reason ?? 'The injection ended.');
  return notApplied({ id, error, status, reason: refusal, ...(answer === null ? {} : { data: answer }) });
}

function isCode(code: string | null): code is ErrorCode {
  return code !== null && Object.hasOwn(errorStatus, code);
}

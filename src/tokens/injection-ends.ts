import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../errors.js';
import { metrics } from '../operation/metrics.js';
import type { AnswerWait } from './answer-wait.js';
import type { HeardAnswer } from './attribution.js';
import { mayHaveIt } from './earlier.js';
import { endingOf, endingWithout, reasonOf } from './ending.js';
import type { Ending } from './ending-store.js';
import type { Injection, InjectionParts } from './injection.js';
import { applied, notApplied, type InjectionAnswer } from './injection-answer.js';
import type { VendorAnswer } from './vendor.js';

/** The ends that an injection can come to: each writes the record, and then says what the caller hears ([T-2]). */
export interface InjectionEnds {
  answered(heard: HeardAnswer, vendor: VendorAnswer): Promise<InjectionAnswer>;
  refusedByVendor(vendor: VendorAnswer): Promise<InjectionAnswer>;
  unanswered(vendor: VendorAnswer): Promise<InjectionAnswer>;
  /** Before the token was sent, for the sake of the caller or of this process. */
  interrupted(): Promise<InjectionAnswer>;
  /** Before the token was sent, for this reason. */
  unsent(error: DomainError): Promise<InjectionAnswer>;
}

/** Nobody hears of a success before it is committed, and nobody waits for ever for a database. */
export const commitMs = 15_000;
const writeMs = 600_000;

export function createInjectionEnds(
  injection: Injection,
  parts: InjectionParts,
  { wait, cancelled, closing }: { wait: AnswerWait; cancelled: AbortSignal; closing: AbortSignal },
): InjectionEnds {
  const { id, meter } = injection;
  const ended = { id, meterId: meter.meterId, caller: injection.caller };

  async function answered({ answer, at }: HeardAnswer, vendor: VendorAnswer): Promise<InjectionAnswer> {
    const ending = endingOf(ended, answer, at, injection);
    const isEnded = await commit({ ...ending, ...of(vendor) });
    const isSuccess = answer.outcome === 'success';
    if (!isEnded) throw isSuccess ? usedMeanwhile() : gone();
    observe(isSuccess ? 'success' : answer.outcome);
    if (answer.outcome === 'success') return applied(id, answer.units ?? 0, answer.data);
    const error = new DomainError('TOKEN_REFUSED', reasonOf(answer, injection.isRepeated) ?? '');
    return notApplied({ id, error, reason: answer.outcome, data: answer.data });
  }

  function refusedByVendor(vendor: VendorAnswer): Promise<InjectionAnswer> {
    const error = new DomainError('TOKEN_API_FAILED', `The meter-management system ${vendor.reason}.`);
    const isUnknown = vendor.outcome === 'unknown';
    return endWithout(
      error,
      { status: isUnknown ? 'unanswered' : 'failed', wasSent: vendor.outcome !== 'unsent' },
      vendor,
    );
  }

  function unanswered(vendor: VendorAnswer): Promise<InjectionAnswer> {
    const seconds = parts.responseTimeoutMs / 1000;
    const why = wait.problem === null ? '' : ` (${wait.problem})`;
    const sentence = closing.aborted
      ? 'Meterflow stopped, or its flow was changed, while it waited for the meter.'
      : wait.doubtful.length > 0
        ? `${doubtAbout(wait.earlier.others.length)} The record keeps what it said.`
        : `The meter did not answer within ${seconds} s${why}. It may still; the record will say so.`;
    const error = new DomainError('TOKEN_UNANSWERED', sentence);
    return endWithout(error, { status: 'unanswered', wasSent: true }, vendor);
  }

  function interrupted(): Promise<InjectionAnswer> {
    const who = cancelled.aborted ? 'The caller hung up' : 'Meterflow stopped, or its flow was changed,';
    const error = new DomainError('INJECTION_INTERRUPTED', `${who} before the token was sent.`);
    return endWithout(error, { status: 'failed', wasSent: false }, null);
  }

  async function endWithout(
    error: DomainError,
    { status, wasSent }: { status: 'failed' | 'unanswered'; wasSent: boolean },
    vendor: VendorAnswer | null,
  ): Promise<InjectionAnswer> {
    const doubtful = [...wait.doubtful];
    // The system has not forwarded it: whatever the meter said was about others.
    const isForwarded =
      wasSent && (vendor === null || vendor.outcome !== 'refused' || mayHaveIt(vendor.status));
    const kept =
      (isForwarded ? (doubtful.findLast(({ kind }) => kind === 'fresh') ?? doubtful.at(-1)) : null) ?? null;
    const more = { status, code: error.code, reason: error.message, wasSent };
    const isEnded = await commit({ ...endingWithout(ended, more, kept), ...of(vendor) });
    for (const one of doubtful) if (one !== kept && one.kind === 'fresh') keepWithOthers(one, isForwarded);
    // An answer that came while this was written belongs to the record.
    for (const one of wait.doubtful.slice(doubtful.length)) completeLate(one);
    void takeLate();
    if (!isEnded) throw gone();
    observe(error.code.toLowerCase());
    return notApplied({ id, error, status });
  }

  async function takeLate(): Promise<void> {
    completeLate(await wait.answered);
  }

  function keepWithOthers(heard: HeardAnswer, mayBeOwn: boolean): void {
    if (mayBeOwn) parts.late.keep(wait.earlier.vacant, heard).catch(uncommitted);
    else completeLate(heard);
  }

  function completeLate(heard: HeardAnswer): void {
    parts.late.complete(meter.meterId, heard, null, AbortSignal.timeout(commitMs)).catch(uncommitted);
  }

  /** The caller hears in time that the database is away; what the meter said is written when it is back. */
  async function commit(ending: Ending): Promise<boolean> {
    const written = parts.records.end(ending, AbortSignal.any([closing, AbortSignal.timeout(writeMs)]));
    const over = new AbortController();
    const impatience = delay(commitMs, undefined, { signal: over.signal }).then(() => {
      throw new DomainError('DATABASE_UNAVAILABLE', 'The database did not answer in time.');
    });
    try {
      return await Promise.race([written, impatience]);
    } finally {
      over.abort();
      for (const left of [written, impatience]) left.catch(() => {});
    }
  }

  return {
    answered,
    refusedByVendor,
    unanswered,
    interrupted,
    unsent: (error) => endWithout(error, { status: 'failed', wasSent: false }, null),
  };
}

type VendorPart = Pick<Ending, 'vendorStatus' | 'vendorAttempts' | 'acknowledgedAt' | 'messageId'>;

function of(vendor: VendorAnswer | null): VendorPart {
  return {
    vendorStatus: vendor?.status ?? null,
    vendorAttempts: vendor?.attempts ?? null,
    acknowledgedAt: vendor?.outcome === 'accepted' ? vendor.at : null,
    messageId: vendor?.messageId ?? null,
  };
}

function observe(outcome: string): void {
  metrics.tokenInjections.inc({ outcome });
}

/** What the meter said of another token may be lost when the database is away: that record stays as true as it was. */
export function uncommitted(): void {
  metrics.tokenAnswersIgnored.inc({ reason: 'not_committed' });
}

function doubtAbout(others: number): string {
  return others === 0
    ? 'The meter answered, but names no token, and this may be about the one before: its answer once more, or a second.'
    : `The meter answered, but names no token, and ${others === 1 ? 'one' : others} before this may still be answered: nobody can know which it meant.`;
}

/** By another instance, while this one began. */
export function takenMeanwhile(): DomainError {
  return new DomainError('TOKEN_USED', 'This token was confirmed by a meter, or sent to another, meanwhile.');
}

function usedMeanwhile(): DomainError {
  return new DomainError('TOKEN_USED', 'This token was confirmed by the meter meanwhile.');
}

/** Somebody else ended the record: its deadline was over, or the clock of the database is far from ours. */
export function gone(): DomainError {
  return new DomainError('INJECTION_INTERRUPTED', 'The record of this injection was ended by somebody else.');
}

import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../errors.js';
import type { Meter } from '../ledger/find-meter.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import type { AnswerMapping } from './answer.js';
import { createAnswerWait, type HeardAnswer, type RecentAnswers } from './answer-wait.js';
import { endingOf, endingWithout, reasonOf } from './ending.js';
import { applied, notApplied, type InjectionAnswer } from './injection-answer.js';
import type { LateAnswers } from './late.js';
import type { Ending } from './record-store.js';
import type { InjectionRecords } from './records.js';
import type { Vendor, VendorAnswer } from './vendor.js';

/** What one injection works with. */
export interface InjectionParts {
  readonly link: MqttLink;
  readonly vendor: Vendor;
  readonly records: InjectionRecords;
  readonly late: LateAnswers;
  readonly recent: RecentAnswers;
  readonly mapping: AnswerMapping | undefined;
  /** Where a meter of this name answers. */
  topicOf(name: string): string;
  /** Told of the end of its subscriptions. */
  leaving(left: Promise<unknown>): void;
  /** From the vendor's acceptance on. */
  readonly responseTimeoutMs: number;
}

/** An injection whose record is begun. */
export interface Injection {
  readonly id: string;
  readonly meter: Meter;
  readonly meterNumber: string;
  readonly token: string;
  readonly caller: string;
  /** Another token of the meter was sent before, and its answer may still come. */
  readonly isOutstanding: boolean;
  /** This token was sent before, without an answer. */
  readonly isRepeated: boolean;
}

export interface InjectionRun {
  /** Resolves with what the caller hears, after the commit. @throws what is no outcome: the database is away */
  readonly finished: Promise<InjectionAnswer>;
  /** Hears what the broker's deliveries bring; the subscription brings it as well, as long as it lasts. */
  hear(payload: string | Buffer): boolean;
}

/** Nobody hears of a success before it is committed, and nobody waits for ever for a database. */
const commitMs = 15_000;
const writeMs = 600_000;

/**
 * [T-1]: subscribe and wait until that is confirmed, hand the token to the vendor, wait for the meter, always
 * unsubscribe. `cancelled` is aborted when nobody wants the outcome any more: it counts until the token is on its way.
 * `closing` ends every wait.
 */
export function runInjection(
  injection: Injection,
  parts: InjectionParts,
  { cancelled, closing, onSent }: { cancelled: AbortSignal; closing: AbortSignal; onSent: () => void },
): InjectionRun {
  const { id, meter, meterNumber, token } = injection;
  const names = new Set([meterNumber, meter.meterId, ...(meter.drn === null ? [] : [meter.drn])]);
  const wait = createAnswerWait(
    { id, meterId: meter.meterId, names, token },
    {
      mapping: parts.mapping,
      recent: parts.recent,
      onStray(answer, at) {
        // It is the record's, not this caller's: a failure leaves that record as true as it was.
        parts.late
          .complete(meter.meterId, answer, at, id, AbortSignal.any([closing, AbortSignal.timeout(commitMs)]))
          .catch(() => metrics.tokenAnswersIgnored.inc({ reason: 'not_committed' }));
      },
      onIgnored: (reason) => metrics.tokenAnswersIgnored.inc({ reason }),
    },
  );

  async function run(): Promise<InjectionAnswer> {
    const ends: (() => Promise<void>)[] = [];
    const stopped = AbortSignal.any([cancelled, closing]);
    let isSent = false;
    try {
      await subscribeAll(ends, stopped);
      const subscribedAt = Date.now();
      if (stopped.aborted) return await interrupted();
      isSent = true;
      onSent();
      const progress = {
        id,
        subscribedAt,
        acknowledgedAt: null,
        vendorStatus: null,
        vendorAttempts: null,
        messageId: null,
      };
      const stillWaits = await parts.records.note({ ...progress, phase: 'sent', sentAt: Date.now() });
      if (!stillWaits) throw gone();
      wait.open(injection.isOutstanding);
      return await afterSent();
    } catch (error) {
      if (isSent) throw error;
      if (stopped.aborted) return await interrupted();
      if (isOurs(error)) return await endWithout(error, { status: 'failed', wasSent: false }, null);
      throw error;
    } finally {
      wait.close();
      // The caller need not wait for it.
      parts.leaving(Promise.allSettled(ends.map((end) => end())));
    }
  }

  /** Under every name that the meter may answer by ([M-12]). */
  async function subscribeAll(ends: (() => Promise<void>)[], signal: AbortSignal): Promise<void> {
    const topics = new Set([...names].map((name) => parts.topicOf(name)));
    const granted = await Promise.allSettled(
      [...topics].map((topic) =>
        parts.link.subscribe(topic, (_topic, payload) => wait.hear(payload, 'topic'), signal),
      ),
    );
    for (const one of granted) if (one.status === 'fulfilled') ends.push(one.value);
    for (const one of granted) if (one.status === 'rejected') throw one.reason;
  }

  async function afterSent(): Promise<InjectionAnswer> {
    const order = {
      meter_number: meterNumber,
      credit_token: token,
      injection_id: id,
      meter_id: meter.meterId,
    };
    let heard: HeardAnswer | undefined;
    void wait.answered.then((answer) => (heard = answer));
    const vendor = await parts.vendor.hand(order, closing);
    wait.named(vendor.messageId);
    // An answer that waited for the vendor's is taken by now.
    await Promise.resolve();
    if (vendor.outcome === 'accepted') {
      // What people see while it waits; the end writes it, too.
      parts.records
        .note({
          id,
          phase: 'acknowledged',
          subscribedAt: null,
          sentAt: null,
          acknowledgedAt: Date.now(),
          vendorStatus: vendor.status,
          vendorAttempts: vendor.attempts,
          messageId: vendor.messageId,
        })
        .catch(() => {});
      heard = await untilAnswered();
    }
    heard ??= wait.held();
    // The meter's own word counts, whatever the vendor says.
    if (heard !== undefined) return answered(heard, vendor);
    if (vendor.outcome !== 'accepted') return refusedByVendor(vendor);
    return unanswered(vendor);
  }

  /** Undefined when the time is over, or the node closes. */
  async function untilAnswered(): Promise<HeardAnswer | undefined> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, closing]);
    const timedOut = delay(parts.responseTimeoutMs, undefined, { signal }).catch(() => undefined);
    try {
      return await Promise.race([wait.answered, timedOut]);
    } finally {
      over.abort();
    }
  }

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
    const ending = endingWithout(ended, { status, code: error.code, reason: error.message, wasSent });
    const isEnded = await commit({ ...ending, ...of(vendor) });
    // An answer that came while this was written belongs to the record.
    void takeLate();
    if (!isEnded) throw gone();
    observe(error.code.toLowerCase());
    return notApplied({ id, error, status });
  }

  async function takeLate(): Promise<void> {
    const { answer, at } = await wait.answered;
    await parts.late
      .complete(meter.meterId, answer, at, null, AbortSignal.timeout(commitMs))
      .catch(() => metrics.tokenAnswersIgnored.inc({ reason: 'not_committed' }));
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

  const ended = { id, meterId: meter.meterId, caller: injection.caller };
  return { finished: run(), hear: (payload) => wait.hear(payload, 'delivery') };
}

function of(vendor: VendorAnswer | null): Pick<Ending, 'vendorStatus' | 'vendorAttempts'> {
  return { vendorStatus: vendor?.status ?? null, vendorAttempts: vendor?.attempts ?? null };
}

function observe(outcome: string): void {
  metrics.tokenInjections.inc({ outcome });
}

/** What may go wrong before the token is sent, and is the caller's to hear. */
function isOurs(error: unknown): error is DomainError {
  return (
    error instanceof DomainError &&
    (error.code === 'BROKER_UNAVAILABLE' || error.code === 'SUBSCRIPTION_REFUSED')
  );
}

function usedMeanwhile(): DomainError {
  return new DomainError('TOKEN_USED', 'This token was confirmed by the meter meanwhile.');
}

/** Somebody else ended the record: its deadline was over, or the clock of the database is far from ours. */
function gone(): DomainError {
  return new DomainError('INJECTION_INTERRUPTED', 'The record of this injection was ended by somebody else.');
}

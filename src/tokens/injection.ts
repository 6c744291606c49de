import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../errors.js';
import type { Meter } from '../ledger/find-meter.js';
import type { MqttLink } from '../mqtt/link.js';
import { metrics } from '../operation/metrics.js';
import type { AnswerMapping } from './answer.js';
import { createAnswerWait } from './answer-wait.js';
import type { HeardAnswer } from './attribution.js';
import { noEarlierTokens, type EarlierTokens } from './earlier.js';
import type { InjectionAnswer } from './injection-answer.js';
import { commitMs, createInjectionEnds, gone, takenMeanwhile, uncommitted } from './injection-ends.js';
import type { LateAnswers } from './late.js';
import type { RecentAnswers } from './recent-answers.js';
import type { InjectionRecords } from './records.js';
import type { Vendor } from './vendor.js';

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
  /** What else the meter's next answers may be to. */
  earlierOf(): Promise<EarlierTokens>;
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
  /** This token was sent before, without an answer. */
  readonly isRepeated: boolean;
}

export interface InjectionRun {
  /** Resolves with what the caller hears, after the commit. @throws what is no outcome: the database is away */
  readonly finished: Promise<InjectionAnswer>;
  /** Hears what the broker's deliveries bring; the subscription brings it as well, as long as it lasts. */
  hear(payload: string | Buffer, receivedAt: number): boolean;
}

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
      // It is another record's, not this caller's: a failure leaves that one as true as it was.
      onStray(heard) {
        const completed = parts.late.complete(meter.meterId, heard, id, inTime());
        completed.then((some) => some.forEach((one) => wait.forget(one.id))).catch(uncommitted);
      },
      onEarlier({ id: other, caller }, heard) {
        parts.late.end({ id: other, meterId: meter.meterId, caller }, heard, inTime()).catch(uncommitted);
      },
      onIgnored: (reason) => metrics.tokenAnswersIgnored.inc({ reason }),
    },
  );
  const inTime = (): AbortSignal => AbortSignal.any([closing, AbortSignal.timeout(commitMs)]);
  const ends = createInjectionEnds(injection, parts, { wait, cancelled, closing });

  async function run(): Promise<InjectionAnswer> {
    const subscriptions: (() => Promise<void>)[] = [];
    const stopped = AbortSignal.any([cancelled, closing]);
    let isSent = false;
    try {
      await subscribeAll(subscriptions, stopped);
      const subscribedAt = Date.now();
      if (stopped.aborted) return await ends.interrupted();
      isSent = true;
      onSent();
      const { since: remembersSince } = parts.recent;
      const sent = await parts.records.send({ id, subscribedAt, sentAt: Date.now(), remembersSince });
      if (sent.outcome === 'taken') return await ends.unsent(takenMeanwhile());
      if (sent.outcome !== 'sent') throw gone();
      wait.open(sent.hasEarlier ? await parts.earlierOf() : noEarlierTokens);
      return await afterSent();
    } catch (error) {
      if (isSent) throw error;
      if (stopped.aborted) return await ends.interrupted();
      if (isOurs(error)) return await ends.unsent(error);
      throw error;
    } finally {
      wait.close();
      // The caller need not wait for it.
      parts.leaving(Promise.allSettled(subscriptions.map((end) => end())));
    }
  }

  /** Under every name that the meter may answer by ([M-12]). */
  async function subscribeAll(subscriptions: (() => Promise<void>)[], signal: AbortSignal): Promise<void> {
    const topics = new Set([...names].map((name) => parts.topicOf(name)));
    const granted = await Promise.allSettled(
      [...topics].map((topic) =>
        parts.link.subscribe(
          topic,
          (_topic, payload, isRetained) => {
            // It was said before anybody asked.
            if (!isRetained) wait.hear(payload, 'topic');
          },
          signal,
        ),
      ),
    );
    for (const one of granted) if (one.status === 'fulfilled') subscriptions.push(one.value);
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
      parts.records.noteLater({
        id,

        acknowledgedAt: vendor.at,
        vendorStatus: vendor.status,
        vendorAttempts: vendor.attempts,
        messageId: vendor.messageId,
      });
      heard = await untilAnswered();
    }
    heard ??= wait.held();
    // The meter's own word counts, whatever the vendor says.
    if (heard !== undefined) return ends.answered(heard, vendor);
    if (vendor.outcome !== 'accepted') return ends.refusedByVendor(vendor);
    return ends.unanswered(vendor);
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

  return { finished: run(), hear: (payload, receivedAt) => wait.hear(payload, 'delivery', receivedAt) };
}

/** What may go wrong before the token is sent, and is the caller's to hear. */
function isOurs(error: unknown): error is DomainError {
  return (
    error instanceof DomainError &&
    (error.code === 'BROKER_UNAVAILABLE' || error.code === 'SUBSCRIPTION_REFUSED')
  );
}

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { untilCommitted, type Database } from '../database/database.js';
import { covers } from '../devices/access.js';
import { DomainError, isDomainError } from '../errors.js';
import { findMeter, type Meter } from '../ledger/find-meter.js';
import type { MqttLink } from '../mqtt/link.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import { readAnswer, type AnswerMapping } from './answer.js';
import { createRecentAnswers, digestOf } from './answer-wait.js';
import { createGathering } from './gathering.js';
import { endAbandoned, selectInjection } from './history-store.js';
import { runInjection, type InjectionParts, type InjectionRun } from './injection.js';
import { notApplied, type InjectionAnswer } from './injection-answer.js';
import { createLateAnswers, type LateInjection } from './late.js';
import { createMeterQueues } from './meter-queues.js';
import { answerOfRecord } from './record-answer.js';
import { createInjectionRecords } from './records.js';
import { readInjectionRequest } from './request.js';
import { hintOf } from './sts.js';
import type { TokenHash } from './token-hash.js';
import type { Vendor } from './vendor.js';

export interface InjectionSettings {
  readonly database: Database;
  readonly link: MqttLink;
  /** Undefined: none is set up. */
  readonly vendor: Vendor | undefined;
  readonly hash: TokenHash;
  readonly mapping?: AnswerMapping | undefined;
  /** With `{meter_number}` where the meter's name stands. */
  readonly topic: string;
  readonly responseTimeoutMs: number;
  /** Injections that may wait at once, those in line included. */
  readonly waitingMax: number;
  /** How long one may stand in line behind other tokens of its meter. */
  readonly queueTimeoutMs: number;
  readonly instance: string;
}

/** One inbound message of a meter, as the broker hands it on. */
export interface SaidByMeter {
  readonly topic: string;
  readonly meter_id: string;
  readonly payload: string | Buffer;
  /** Unix ms. */
  readonly received_at: number;
}

export interface InjectionCounts {
  readonly waiting: number;
  readonly applied: number;
}

export interface Injections {
  /**
   * Injects a token and resolves with what the meter said ([T-2]), or why nothing came of it. The same token for the
   * same meter joins the injection under way. `gone`: the caller has hung up; until the token is on its way that ends
   * it, afterwards it goes on to its record.
   * @throws DATABASE_UNAVAILABLE and faults of ours
   */
  inject(body: unknown, caller: string, gone?: AbortSignal): Promise<InjectionAnswer>;
  /** Takes in what meters say besides the subscriptions: after a reconnect, and late. @returns what that completed */
  hear(said: readonly SaidByMeter[], signal: AbortSignal): Promise<LateInjection[]>;
  readonly counts: InjectionCounts;
  /** Ends every wait; records say so; nothing stays subscribed. */
  close(): Promise<void>;
}

/** Of this process: whatever an earlier one left waiting, nobody waits for. */
const run = randomUUID();
/** Nobody can wait longer than all its deadlines together, and this. */
const marginMs = 30_000;
const log = logger('tokens');

export function createInjections(settings: InjectionSettings): Injections {
  const { database, link, vendor, hash, topic, responseTimeoutMs, instance } = settings;
  const records = createInjectionRecords(database);
  const recent = createRecentAnswers();
  const late = createLateAnswers(database, records, hash);
  const closing = new AbortController();
  const queues = createMeterQueues();
  /** By meter and token. */
  const flights = new Map<string, Flight>();
  /** Those whose token may be on its way, by meter. */
  const running = new Map<string, InjectionRun>();
  /** Subscriptions that end. */
  const leaving = new Set<Promise<unknown>>();
  const counts = { applied: 0 };
  const pattern = topic.replaceAll('{meter_number}', '+');
  /** A list at a time: whoever came first stands in line first. */
  const lookUp = createGathering({
    itemsMax: 100,
    batchesMax: 1,
    work: (numbers: readonly string[]) =>
      Promise.all(numbers.map(async (number) => ({ meter: await findMeter(database, number) }))),
  });
  const recovering = recover();

  async function inject(body: unknown, caller: string, gone?: AbortSignal): Promise<InjectionAnswer> {
    try {
      const request = readInjectionRequest(body);
      const flight = await flightOf(request, caller);
      return await flight.join(gone);
    } catch (error) {
      if (!isDomainError(error) || error.code === 'DATABASE_UNAVAILABLE' || error.code === 'CONFIGURATION')
        throw error;
      return notApplied({ id: null, error });
    }
  }

  async function flightOf(request: Requested, caller: string): Promise<Flight> {
    const { meterNumber, token } = request;
    const { meter } = await lookUp(meterNumber);
    if (meter === undefined) throw new DomainError('METER_UNKNOWN', noMeter(meterNumber));
    if (vendor === undefined)
      throw new DomainError('TOKEN_API_MISSING', 'There is no meter-management system: set TOKEN_API_URL.');
    const key = `${meter.meterId} ${token}`;
    const known = flights.get(key);
    if (known !== undefined) return known;
    if (closing.signal.aborted) throw stopped();
    if (flights.size >= settings.waitingMax)
      throw new DomainError('INJECTIONS_BUSY', `${settings.waitingMax} injections wait already; come back.`);
    const flight = createFlight((cancelled, onSent) =>
      fly({ ...request, meter, caller, requestedAt: Date.now() }, vendor, cancelled, onSent),
    );
    flights.set(key, flight);
    metrics.tokenInjectionsWaiting.set(flights.size);
    void flight.over.finally(() => {
      flights.delete(key);
      metrics.tokenInjectionsWaiting.set(flights.size);
    });
    return flight;
  }

  /** One token after the other per meter. */
  async function fly(
    wanted: Wanted,
    asked: Vendor,
    cancelled: AbortSignal,
    onSent: () => void,
  ): Promise<InjectionAnswer> {
    const { meterId } = wanted.meter;
    const inLine = AbortSignal.any([cancelled, closing.signal, AbortSignal.timeout(settings.queueTimeoutMs)]);
    const leave = await queues.enter(meterId, inLine);
    if (leave === undefined) throw cancelled.aborted || closing.signal.aborted ? stopped() : busy(meterId);
    const begunAt = performance.now();
    try {
      const begun = await begin(wanted, asked, inLine);
      if (begun.outcome === 'answered') return begun.answer;
      const { id, isOutstanding, isRepeated } = begun;
      const injection = { ...wanted, id, isOutstanding, isRepeated };
      const parts: InjectionParts = {
        link,
        vendor: asked,
        records,
        late,
        recent,
        mapping: settings.mapping,
        leaving(left) {
          leaving.add(left);
          void left.finally(() => leaving.delete(left));
        },
        topicOf: (name) => topic.replaceAll('{meter_number}', name),
        responseTimeoutMs,
      };
      const one = runInjection(injection, parts, { cancelled, closing: closing.signal, onSent });
      running.set(meterId, one);
      const answer = await one.finished.finally(() => running.delete(meterId));
      if (answer.outcome === 'applied') counts.applied += 1;
      metrics.tokenInjectionSeconds.observe((performance.now() - begunAt) / 1000);
      const level = answer.outcome === 'applied' ? 'debug' : 'info';
      log[level](
        { injection_id: id, meter_id: meterId, status: answer.statusCode },
        'a token injection ended',
      );
      return answer;
    } finally {
      leave();
    }
  }

  /** Writes the record; behind another instance that waits for this meter it waits, too. */
  async function begin(wanted: Wanted, asked: Vendor, inLine: AbortSignal): Promise<Begin> {
    const { meter, meterNumber, token, caller, requestedAt } = wanted;
    const deadlineMs = asked.longestMs + responseTimeoutMs + marginMs;
    const id = randomUUID();
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      const begun = await records.begin({
        id,
        meterNumber,
        meterId: meter.meterId,
        tokenHash: hash.of(token),
        tokenLast4: token.slice(-4),
        caller,
        instance,
        run,
        requestedAt,
        deadlineMs,
      });
      if (begun.outcome === 'begun') return { ...begun, id };
      if (begun.outcome === 'busy' && begun.isSame) return elsewhere(begun.id, deadlineMs);
      // What is in the way may be of an instance that is dead.
      const isFreed = (await endAbandoned(database, { instance, run })) > 0;
      if (begun.outcome !== 'busy' && !isFreed) return { outcome: 'answered', answer: taken(begun) };
      if (!isFreed) await delay(pauseMs, undefined, { signal: inLine }).catch(() => {});
      if (inLine.aborted) throw closing.signal.aborted ? stopped() : busy(meter.meterId);
    }
  }

  /** Another instance waits for the same token and meter: its outcome is ours. */
  async function elsewhere(id: string, deadlineMs: number): Promise<Begin> {
    const until = performance.now() + deadlineMs;
    while (performance.now() < until && !closing.signal.aborted) {
      const record = await selectInjection(database, id);
      const answer = record === undefined ? undefined : answerOfRecord(record);
      if (answer !== undefined) return { outcome: 'answered', answer };
      await delay(100, undefined, { signal: closing.signal }).catch(() => {});
    }
    throw stopped();
  }

  async function hear(said: readonly SaidByMeter[], signal: AbortSignal): Promise<LateInjection[]> {
    const answers = said.filter((one) => covers(pattern, one.topic));
    const completed: LateInjection[] = [];
    for (const { meter_id, payload, received_at } of answers) {
      const awaited = running.get(meter_id);
      if (awaited?.hear(payload) === true) continue;
      const answer = readAnswer(payload, settings.mapping);
      const digest = digestOf(payload);
      if (answer.outcome === 'unreadable' || recent.has(meter_id, digest, 60_000)) continue;
      recent.note(meter_id, digest);
      const one = await untilCommitted(
        database,
        () => late.complete(meter_id, answer, received_at, null, signal),
        { signal },
      );
      if (one !== null) completed.push(one);
    }
    return completed;
  }

  /** What an earlier run of this instance left waiting; a database that is away is asked again by the next injection. */
  async function recover(): Promise<void> {
    try {
      const ended = await endAbandoned(database, { instance, run });
      if (ended > 0) log.warn({ injections: ended }, 'injections were waiting when Meterflow stopped');
    } catch (error) {
      log.warn({ reason: String(error) }, 'waiting injections of an earlier run could not be ended');
    }
  }

  return {
    inject,
    hear,
    get counts() {
      return { waiting: flights.size, applied: counts.applied };
    },
    async close() {
      closing.abort();
      await recovering;
      await Promise.all([...flights.values()].map(({ over }) => over));
      await Promise.all(leaving);
    },
  };
}

interface Requested {
  readonly meterNumber: string;
  readonly token: string;
}

interface Wanted extends Requested {
  readonly meter: Meter;
  readonly caller: string;
  readonly requestedAt: number;
}

type Begin =
  | {
      readonly outcome: 'begun';
      readonly id: string;
      readonly isOutstanding: boolean;
      readonly isRepeated: boolean;
    }
  | { readonly outcome: 'answered'; readonly answer: InjectionAnswer };

/** One injection and all who wait for it. */
interface Flight {
  join(gone: AbortSignal | undefined): Promise<InjectionAnswer>;
  /** Resolves when it is over, however. */
  readonly over: Promise<unknown>;
}

function createFlight(fly: (cancelled: AbortSignal, onSent: () => void) => Promise<InjectionAnswer>): Flight {
  const cancelling = new AbortController();
  let callers = 0;
  let isSent = false;
  const answer = fly(cancelling.signal, () => (isSent = true));
  const over = Promise.allSettled([answer]);
  return {
    over,
    async join(gone) {
      callers += 1;
      const leave = (): void => {
        callers -= 1;
        // Whoever still waits wants it.
        if (callers === 0 && !isSent) cancelling.abort();
      };
      gone?.addEventListener('abort', leave, { once: true });
      if (gone?.aborted === true) leave();
      try {
        return await answer;
      } finally {
        gone?.removeEventListener('abort', leave);
      }
    },
  };
}

function taken({
  outcome,
  id,
}: {
  readonly outcome: 'used' | 'bound';
  readonly id: string;
}): InjectionAnswer {
  const error =
    outcome === 'used'
      ? new DomainError('TOKEN_USED', 'This token was confirmed by a meter before.')
      : new DomainError('TOKEN_BOUND', 'This token was sent to another meter, and is bound to it.');
  return notApplied({ id, error });
}

/** A number may be right in its form, and be what somebody mistyped. */
function noMeter(number: string): string {
  const hint = hintOf(number);
  return `There is no meter ${JSON.stringify(number)}${hint === undefined ? '' : `; ${hint}`}.`;
}

function busy(meterId: string): DomainError {
  return new DomainError(
    'INJECTIONS_BUSY',
    `Other tokens for the meter ${meterId} are under way; come back.`,
  );
}

function stopped(): DomainError {
  return new DomainError('INJECTION_INTERRUPTED', 'The injection ended before the token was sent.');
}

import { randomUUID } from 'node:crypto';
import type { Database } from '../database/database.js';
import { DomainError, isDomainError } from '../errors.js';
import { findMeters } from '../ledger/find-meter.js';
import type { MqttLink } from '../mqtt/link.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { AnswerMapping } from './answer.js';
import { createBeginning, type Wanted } from './beginning.js';
import { earlierTokens } from './earlier.js';
import { createFlight, type Flight } from './flight.js';
import { createGathering } from './gathering.js';
import { createHearing, type Hearing } from './hearing.js';
import { endAbandoned } from './history-store.js';
import { runInjection, type InjectionParts, type InjectionRun } from './injection.js';
import { notApplied, type InjectionAnswer } from './injection-answer.js';
import { createLateAnswers } from './late.js';
import { createMeterQueues } from './meter-queues.js';
import { selectOfMeter } from './meter-store.js';
import { busy, stopped, unknownMeter } from './mishaps.js';
import { recentAnswersOf } from './recent-answers.js';
import { createInjectionRecords } from './records.js';
import { readInjectionRequest, type InjectionRequest } from './request.js';
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
  /** In times of it: so long after an earlier token went out, an answer may be to that one; 1.75. */
  readonly doubtFactor?: number;
  /** Injections that may wait at once, those in line included. */
  readonly waitingMax: number;
  /** How long one may stand in line behind other tokens of its meter. */
  readonly queueTimeoutMs: number;
  readonly instance: string;
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
  readonly hear: Hearing;
  readonly counts: InjectionCounts;
  /** Ends every wait; records say so; nothing stays subscribed. */
  close(): Promise<void>;
}

/** A late answer comes soon or never, and before a caller of the next token hears 504 for want of it, too. */
const usualDoubt = 1.75;
/** Of this process: whatever an earlier one left waiting, nobody waits for. */
const run = randomUUID();
/** Nobody can wait longer than all its deadlines together, and this. */
const marginMs = 30_000;
const log = logger('tokens');

export function createInjections(settings: InjectionSettings): Injections {
  const { database, link, vendor, hash, topic, responseTimeoutMs, instance } = settings;
  const reckonedMs = responseTimeoutMs * (settings.doubtFactor ?? usualDoubt);
  const records = createInjectionRecords(database);
  const recent = recentAnswersOf(database);
  const { mapping } = settings;
  const late = createLateAnswers({ database, records, hash, mapping });
  const closing = new AbortController();
  const queues = createMeterQueues();
  /** By meter and token. */
  const flights = new Map<string, Flight>();
  /** Those whose token may be on its way, by meter. */
  const running = new Map<string, InjectionRun>();
  /** Subscriptions that end. */
  const leaving = new Set<Promise<unknown>>();
  const counts = { applied: 0 };
  /** A list at a time: whoever came first stands in line first. */
  const lookUp = createGathering({
    itemsMax: 100,
    batchesMax: 1,
    async work(numbers: readonly string[]) {
      const meters = await findMeters(database, [...new Set(numbers)]);
      return numbers.map((number) => ({ meter: meters.get(number) }));
    },
  });
  const begin = createBeginning({ database, records, hash, instance, run });
  const hear = createHearing({
    database,
    late,
    recent,
    mapping,
    filter: topic.replaceAll('{meter_number}', '+'),
    runOf: (meterId) => running.get(meterId),
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

  async function flightOf(request: InjectionRequest, caller: string): Promise<Flight> {
    const { meterNumber, token } = request;
    const { meter } = await lookUp(meterNumber);
    if (meter === undefined) throw unknownMeter(meterNumber);
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
      const deadlineMs = asked.longestMs + responseTimeoutMs + marginMs;
      const begun = await begin(wanted, { deadlineMs, inLine, closing: closing.signal });
      if (begun.outcome === 'answered') return begun.answer;
      const { id, isRepeated } = begun;
      const injection = { ...wanted, id, isRepeated };
      const tokenHash = hash.of(wanted.token);
      const parts: InjectionParts = {
        link,
        vendor: asked,
        records,
        late,
        recent,
        async earlierOf() {
          const named = { tokenHash: null, messageId: null };
          const others = (await selectOfMeter(database, meterId, named)).filter((one) => one.id !== id);
          return earlierTokens(others, {
            token: tokenHash.toString('hex'),
            mapping,
            now: Date.now(),
            reckonedMs,
          });
        },
        mapping,
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

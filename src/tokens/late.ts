import type { Database } from '../database/database.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { AnswerMapping } from './answer.js';
import { isNamed } from './answer-wait.js';
import type { HeardAnswer } from './attribution.js';
import { endingOf, reasonOf } from './ending.js';
import { keepAnswer, type Ending } from './ending-store.js';
import { ownerOf } from './late-owner.js';
import { selectOfMeter, type MeterInjection } from './meter-store.js';
import type { InjectionRecords } from './records.js';
import type { TokenHash } from './token-hash.js';

/** An injection that a late answer has completed. */
export interface LateInjection {
  readonly id: string;
  readonly meter_id: string;
  readonly status: 'success' | 'failed';
  readonly injected_units: number | null;
  readonly reason: string | null;
}

export interface LateAnswers {
  /**
   * Completes the injection of the meter that the answer belongs to, once; the ledger gets its units like any other. One
   * that may belong to several is kept with one of them, and completes them all together with the last that is missing.
   * `waiting`: the id of an injection of the meter that waits, when the answer is not its own.
   * @returns none when it belongs to none: a repetition, a token that somebody typed into the meter
   */
  complete(
    meterId: string,
    heard: HeardAnswer,
    waiting: string | null,
    signal: AbortSignal,
  ): Promise<LateInjection[]>;
  /** Completes this one. @returns null when it had an answer before */
  end(
    injection: Pick<Ending, 'id' | 'meterId' | 'caller'>,
    heard: HeardAnswer,
    signal: AbortSignal,
  ): Promise<LateInjection | null>;
  /** Keeps an answer with the first of these injections that has room for it. */
  keep(ids: readonly string[], heard: HeardAnswer): Promise<void>;
}

const log = logger('tokens');

export interface LateSettings {
  readonly database: Database;
  readonly records: InjectionRecords;
  readonly hash: TokenHash;
  readonly mapping: AnswerMapping | undefined;
}

export function createLateAnswers({ database, records, hash, mapping }: LateSettings): LateAnswers {
  async function end(
    { id, meterId, caller }: Pick<Ending, 'id' | 'meterId' | 'caller'>,
    { answer, at }: HeardAnswer,
    signal: AbortSignal,
  ): Promise<LateInjection | null> {
    const ending = endingOf({ id, meterId, caller }, answer, at, { isRepeated: false });
    const isEnded = await records.end(
      { ...ending, late: true, vendorStatus: null, vendorAttempts: null },
      signal,
    );
    if (!isEnded) return null;
    metrics.tokenInjections.inc({ outcome: 'late' });
    log.info({ injection_id: id, meter_id: meterId, outcome: answer.outcome }, 'a meter answered late');
    const status = answer.outcome === 'success' ? 'success' : 'failed';
    const injected_units = answer.units === null ? null : answer.units / 10_000;
    return { id, meter_id: meterId, status, injected_units, reason: reasonOf(answer, false) };
  }

  async function keep(ids: readonly string[], { answer, at }: HeardAnswer): Promise<void> {
    await keepAnswer(database, { ids, answer: JSON.stringify(answer.data), at });
  }

  return {
    end,
    keep,
    async complete(meterId, heard, waiting, signal) {
      const { answer } = heard;
      const tokenHash = answer.token === null ? null : hash.of(answer.token);
      const injections = await selectOfMeter(database, meterId, { tokenHash, messageId: answer.message_id });
      const token = tokenHash?.toString('hex') ?? null;
      const owner = ownerOf(injections, heard, { token, waiting, mapping });
      if (owner.outcome !== 'owned') metrics.tokenAnswersIgnored.inc({ reason: owner.outcome });
      if (owner.outcome === 'ambiguous') {
        log.warn(
          { meter_id: meterId, outcome: answer.outcome },
          'a late answer may be to more than one token',
        );
        await keep(owner.vacant, heard);
      }
      if (owner.outcome !== 'owned') return [];
      const completed: LateInjection[] = [];
      for (const [injection, said] of owner.pairs) {
        if (answer.meter_number !== null && !isNamed(namesOf(meterId, injection), answer.meter_number))
          continue;
        const one = await end({ ...injection, meterId }, said, signal);
        if (one !== null) completed.push(one);
      }
      return completed;
    },
  };
}

function namesOf(meterId: string, { meter_number, drn }: MeterInjection): ReadonlySet<string> {
  return new Set([meterId, meter_number, ...(drn === null ? [] : [drn])]);
}

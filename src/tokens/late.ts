import type { Database } from '../database/database.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { MeterAnswer } from './answer.js';
import { isNamed } from './answer-wait.js';
import { endingOf, reasonOf } from './ending.js';
import { selectOfMeter } from './history-store.js';
import { ownerOf } from './late-owner.js';
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
   * Completes the injection of the meter that the answer belongs to, once; the ledger gets its units like any other.
   * `waiting`: the id of an injection of the meter that waits, when the answer is not its own.
   * @returns null when it belongs to none (a repetition, a token that somebody typed into the meter), or to one of several
   */
  complete(
    meterId: string,
    answer: MeterAnswer,
    at: number,
    waiting: string | null,
    signal: AbortSignal,
  ): Promise<LateInjection | null>;
}

const log = logger('tokens');

export function createLateAnswers(
  database: Database,
  records: InjectionRecords,
  hash: TokenHash,
): LateAnswers {
  return {
    async complete(meterId, answer, at, waiting, signal) {
      const tokenHash = answer.token === null ? null : hash.of(answer.token);
      const injections = await selectOfMeter(database, meterId, { tokenHash, messageId: answer.message_id });
      const owner = ownerOf(injections, answer, { token: tokenHash?.toString('hex') ?? null, waiting });
      if (owner.outcome !== 'owned') {
        metrics.tokenAnswersIgnored.inc({ reason: owner.outcome });
        if (owner.outcome === 'ambiguous')
          log.warn(
            { meter_id: meterId, outcome: answer.outcome },
            'a late answer may be to more than one token',
          );
        return null;
      }
      const { id, meter_number, drn, caller, vendor_status } = owner.injection;
      const names = new Set([meterId, meter_number, ...(drn === null ? [] : [drn])]);
      if (answer.meter_number !== null && !isNamed(names, answer.meter_number)) return null;
      const ending = endingOf({ id, meterId, caller }, answer, at, { isRepeated: false });
      const isEnded = await records.end(
        { ...ending, late: true, vendorStatus: vendor_status, vendorAttempts: null },
        signal,
      );
      if (!isEnded) return null;
      metrics.tokenInjections.inc({ outcome: 'late' });
      log.info({ injection_id: id, meter_id: meterId, outcome: answer.outcome }, 'a meter answered late');
      const status = answer.outcome === 'success' ? 'success' : 'failed';
      const injected_units = answer.units === null ? null : answer.units / 10_000;
      return { id, meter_id: meterId, status, injected_units, reason: reasonOf(answer, false) };
    },
  };
}

import type { Database } from '../database/database.js';
import { logger } from '../operation/logging.js';
import { metrics } from '../operation/metrics.js';
import type { MeterAnswer } from './answer.js';
import { isNamed } from './answer-wait.js';
import { endingOf, reasonOf } from './ending.js';
import { selectOpen } from './history-store.js';
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
   * `before`: a later injection of the meter waits, and the answer is not its own.
   * @returns null when it belongs to none: a repetition, or a token that somebody typed into the meter
   */
  complete(
    meterId: string,
    answer: MeterAnswer,
    at: number,
    before: string | null,
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
    async complete(meterId, answer, at, before, signal) {
      const open = await selectOpen(database, meterId, {
        tokenHash: answer.token === null ? null : hash.of(answer.token),
        messageId: answer.message_id,
        before,
      });
      if (open === undefined) return null;
      const { id, meter_number, drn, caller, vendor_status } = open;
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

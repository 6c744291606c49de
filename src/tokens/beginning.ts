import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/database.js';
import { DomainError } from '../errors.js';
import type { Meter } from '../ledger/find-meter.js';
import { endAbandoned, selectInjection } from './history-store.js';
import { notApplied, type InjectionAnswer } from './injection-answer.js';
import { busy, stopped } from './mishaps.js';
import { answerOfRecord } from './record-answer.js';
import type { InjectionRecords } from './records.js';
import type { InjectionRequest } from './request.js';
import type { TokenHash } from './token-hash.js';

/** A request of a meter that is known. */
export interface Wanted extends InjectionRequest {
  readonly meter: Meter;
  readonly caller: string;
  readonly requestedAt: number;
}

/** answered: by a record that was there before. */
export type Beginning =
  | {
      readonly outcome: 'begun';
      readonly id: string;
      readonly isRepeated: boolean;
    }
  | { readonly outcome: 'answered'; readonly answer: InjectionAnswer };

export interface BeginningSettings {
  readonly database: Database;
  readonly records: InjectionRecords;
  readonly hash: TokenHash;
  readonly instance: string;
  /** Of this process: whatever an earlier one left waiting, nobody waits for. */
  readonly run: string;
}

export interface BeginningLimits {
  /** When nobody can be waiting for it any more. */
  readonly deadlineMs: number;
  /** Aborted when it may not stand in line any longer. */
  readonly inLine: AbortSignal;
  readonly closing: AbortSignal;
}

export type Begin = (wanted: Wanted, limits: BeginningLimits) => Promise<Beginning>;

export function createBeginning(settings: BeginningSettings): Begin {
  const { database, records, hash, instance, run } = settings;

  /** Writes the record; behind another instance that waits for this meter it waits, too. */
  async function begin(wanted: Wanted, { deadlineMs, inLine, closing }: BeginningLimits): Promise<Beginning> {
    const { meter, meterNumber, token, caller, requestedAt } = wanted;
    const id = randomUUID();
    const tokenHash = hash.of(token);
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      const begun = await records.begin({
        id,
        meterNumber,
        meterId: meter.meterId,
        tokenHash,
        tokenLast4: token.slice(-4),
        caller,
        instance,
        run,
        requestedAt,
        deadlineMs,
      });
      if (begun.outcome === 'begun') return { ...begun, id };
      if (begun.outcome === 'busy' && begun.isSame) return elsewhere(begun.id, deadlineMs, closing);
      // What is in the way may be of an instance that is dead.
      const isFreed = (await endAbandoned(database, { instance, run })) > 0;
      if (begun.outcome !== 'busy' && !isFreed) return { outcome: 'answered', answer: taken(begun) };
      if (!isFreed) await delay(pauseMs, undefined, { signal: inLine }).catch(() => {});
      if (inLine.aborted) throw closing.aborted ? stopped() : busy(meter.meterId);
    }
  }

  /** Another instance waits for the same token and meter: its outcome is ours. */
  async function elsewhere(id: string, deadlineMs: number, closing: AbortSignal): Promise<Beginning> {
    const until = performance.now() + deadlineMs;
    while (performance.now() < until && !closing.aborted) {
      const record = await selectInjection(database, id);
      const answer = record === undefined ? undefined : answerOfRecord(record);
      if (answer !== undefined) return { outcome: 'answered', answer };
      await delay(100, undefined, { signal: closing }).catch(() => {});
    }
    throw stopped();
  }

  return begin;
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

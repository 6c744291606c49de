import { untilCommitted, type Database } from '../database/database.js';
import { covers } from '../devices/access.js';
import { readAnswer, type AnswerMapping } from './answer.js';
import type { InjectionRun } from './injection.js';
import type { LateAnswers, LateInjection } from './late.js';
import type { RecentAnswers } from './recent-answers.js';

/** One inbound message of a meter, as the broker hands it on. */
export interface SaidByMeter {
  readonly topic: string;
  readonly meter_id: string;
  readonly payload: string | Buffer;
  /** Unix ms. */
  readonly received_at: number;
}

export interface HearingSettings {
  readonly database: Database;
  readonly late: LateAnswers;
  readonly recent: RecentAnswers;
  readonly mapping: AnswerMapping | undefined;
  /** Of the topics that are answers. */
  readonly filter: string;
  /** The injection of a meter that waits. */
  runOf(meterId: string): InjectionRun | undefined;
}

/** Takes in what meters say besides the subscriptions: after a reconnect, and late. */
export type Hearing = (said: readonly SaidByMeter[], signal: AbortSignal) => Promise<LateInjection[]>;

export function createHearing(settings: HearingSettings): Hearing {
  const { database, late, recent, mapping, filter } = settings;

  return async (said, signal) => {
    const answers = said.filter((one) => covers(filter, one.topic));
    const completed: LateInjection[] = [];
    for (const { meter_id, payload, received_at } of answers) {
      const awaited = settings.runOf(meter_id);
      if (awaited?.hear(payload, received_at) === true) continue;
      const answer = readAnswer(payload, mapping);
      if (answer.outcome === 'unreadable' || recent.has(meter_id, answer)) continue;
      recent.note(meter_id, answer);
      const heard = { answer, at: received_at };
      const some = await untilCommitted(database, () => late.complete(meter_id, heard, null, signal), {
        signal,
      });
      completed.push(...some);
    }
    return completed;
  };
}
